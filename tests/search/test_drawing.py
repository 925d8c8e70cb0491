"""Strips: what they show, and that several processes draw what one draws."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vitvis.draw.strips import SIDE, colour_map, overlay, scale_of
from vitvis.search import drawing
from vitvis.search.reading import SearchRun

UNITS = 7


@pytest.fixture
def run(tmp_path: Path) -> SearchRun:
    """Seven units with three images each, two of them units of an address that needs care; one thumbnail is missing."""
    random = np.random.default_rng(0)
    (tmp_path / "thumbs").mkdir()
    (tmp_path / "maps").mkdir()
    for index in range(9):
        Image.fromarray(random.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(tmp_path / f"thumbs/{index}.jpg")
    (tmp_path / "thumbs" / "8.jpg").unlink()
    np.save(tmp_path / "maps" / "a.npy", random.random((UNITS, 3, 4, 4)).astype(np.float16))
    records = [
        {"address": f"{'-' if unit == 5 else ''}a:{unit}", "site": "a", "unit": unit, "mean": 0.0, "std": 1.0,
         "count": 9, "strongest_index": [unit, unit + 1, unit + 2], "strongest_activation": [float(unit), 0.5, 0.25]}
        for unit in range(UNITS)
    ]  # fmt: skip
    return SearchRun(tmp_path, {"backbone": {"name": "tiny"}}, records)


def _strips(run: SearchRun) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (run.path / "strips").rglob("*.png")}


def test_two_processes_draw_what_one_draws(run: SearchRun, monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = [record["address"] for record in run.records]
    assert drawing.write_strips(run, addresses, {}, 3) == UNITS
    one = _strips(run)
    assert set(one) == {"-5.png", *(f"{unit}.png" for unit in range(UNITS) if unit != 5)}
    assert drawing.write_strips(run, addresses, {}, 3, processes=2) == 0, "they are there already"
    monkeypatch.setattr(drawing, "_WORTH", 2)
    assert drawing.write_strips(run, addresses, {}, 3, anew=True, processes=2) == UNITS
    assert _strips(run) == one


def test_full_disk_in_a_process_that_draws_reaches_the_user(run: SearchRun, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(run: Path, relative: str, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", relative)

    monkeypatch.setattr(drawing, "_WORTH", 2)
    monkeypatch.setattr(drawing, "write_picture", full)
    with pytest.raises(OSError, match="No space left") as error:
        drawing.write_strips(run, [record["address"] for record in run.records], {}, 3, processes=2)
    assert error.value.errno == errno.ENOSPC and str(error.value.filename).endswith(".png")


def test_strip_holds_optimised_image_then_images_with_their_maps(run: SearchRun, tmp_path: Path) -> None:
    Image.new("RGB", (80, 80), (250, 0, 0)).save(tmp_path / "optimised.png")
    strip = np.asarray(drawing.draw_strip(run, "a:6", tmp_path / "optimised.png", 3))
    tiles = 1 + 2 * 2  # the third image has no thumbnail
    assert strip.shape[1] == tiles * (SIDE + 4) + 4
    middle = strip[16 + SIDE // 2]
    assert (middle[4 + SIDE // 2] == [250, 0, 0]).all()
    first = np.asarray(Image.open(run.thumb(6)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)).astype(int)
    shown = strip[18 : 18 + SIDE, 8 + SIDE : 8 + 2 * SIDE].astype(int)
    assert np.abs(first - shown).max() <= 1
    maps = run.unit_maps("a:6")
    assert maps is not None
    expected = np.asarray(overlay(Image.fromarray(shown.astype(np.uint8)), maps[0], scale_of(maps[:2])))
    assert np.array_equal(strip[18 : 18 + SIDE, 12 + 2 * SIDE : 12 + 3 * SIDE], expected)


def test_overlay_is_the_colour_map_over_the_grey_image() -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    image, values = Image.fromarray(pixels), np.array([[0.0, 2.0], [1.0, np.nan]])
    shown = np.asarray(overlay(image, values, (0.0, 2.0), strength=0.65)).astype(float)
    grey = np.asarray(image.convert("L")).astype(float)
    for (row, column), unit in {(0, 0): 0.0, (0, 31): 1.0, (31, 0): 0.5, (31, 31): 0.0}.items():  # corners: no mixing
        expected = 0.65 * colour_map()[round(unit * 255)] + 0.35 * grey[row, column]
        assert np.abs(shown[row, column] - expected).max() <= 2
