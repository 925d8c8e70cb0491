"""Models of one, two and six channels: fit, search, judge and atlas, and what can't be done with them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import vitvis
from tests import tiny
from vitvis.backbones import Tap, load_backbone
from vitvis.data.bands import Bands
from vitvis.data.decode import decode
from vitvis.data.photo import UnusableImage
from vitvis.draw.bands import show_bands
from vitvis.errors import VitvisError
from vitvis.runs import read_records
from vitvis.search import read_search

MODELS = {1: "python:tests.tiny:one", 2: "python:tests.tiny:two", 6: "python:tests.tiny:six"}
ROWS, COLUMNS = 24, 40
QUIET = {"trainer": {"accelerator": "cpu", "progress": "none"}}


def tiff(values: np.ndarray, **settings: Any) -> bytes:
    tifffile = pytest.importorskip("tifffile", reason="needs tifffile")
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, photometric="minisblack", **settings)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Sixteen images of each number of channels: arrays of every layout and depth, pictures for one channel."""
    folder, random = tmp_path_factory.mktemp("channels"), np.random.default_rng(0)
    for channels in MODELS:
        (folder / str(channels)).mkdir()
        for number in range(16):
            values = random.random((30, 50, channels)) * random.random(channels)
            path = folder / str(channels) / f"{number:02}"
            if channels == 1:
                Image.fromarray((values[:, :, 0] * 255).astype(np.uint8)).save(path.with_suffix(".png"))
            elif number % 3 == 0:
                np.save(path.with_suffix(".npy"), (values * 65535).astype(np.uint16))
            elif number % 3 == 1:
                np.save(path.with_suffix(".npy"), values.transpose(2, 0, 1).astype(np.float32))
            else:
                path.with_suffix(".tif").write_bytes(tiff((values * 255).astype(np.uint8), planarconfig="contig"))
    return {channels: folder / str(channels) for channels in MODELS}


@pytest.mark.parametrize("channels", list(MODELS))
def test_fit_search_judge_atlas(channels: int, photos: dict[int, Path], tmp_path: Path) -> None:
    model, units = MODELS[channels], ["blocks.1.mlp:0-2", "blocks.0.block:3"]
    bands = [5, 2, 0] if channels == 6 else None
    vitvis.search.run(QUIET, model=model, data=f"folder:{photos[channels]}",
                      units=["blocks.1.mlp:*", "blocks.0.block:*"], k=4, sample=16, per_decile=1, workers=0,
                      bands=bands, out=str(tmp_path / "search"))  # fmt: skip
    search = read_search(tmp_path / "search")
    assert search.records[0]["count"] == 16
    thumb = Image.open(search.thumb(search.records[0]["strongest_index"][0]))
    tiles = (2 * COLUMNS + 2, ROWS) if channels == 2 else (COLUMNS, ROWS)
    assert thumb.size == tiles
    vitvis.fit.run(QUIET, model=model, units=units, steps=16, copies=1, strips=2, bands=bands,
                   out=str(tmp_path / "fit"),
                   **{"augment.color.mean": 0.2, "augment.noise.start": 0.1, "logger.kind": ["none"]})  # fmt: skip
    rows = read_records(tmp_path / "fit")
    assert len(rows) == 4
    picture = Image.open(tmp_path / "fit" / rows[0]["image"])
    assert picture.size == tiles and picture.mode == "RGB"
    raw = (tmp_path / "fit" / rows[0]["image"]).with_suffix(".npy")
    assert raw.exists() == (channels != 1)
    if channels == 1:
        values = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None, :1].float() / 255
    else:
        values = torch.from_numpy(np.load(raw))[None].float()
        assert values.shape == (1, channels, ROWS, COLUMNS)
    backbone = load_backbone(model)
    with torch.no_grad(), Tap(backbone, [rows[0]["site"]]) as tap:
        found = tap(values)[rows[0]["site"]][0, 1:, rows[0]["unit"]].mean()
    assert float(found) == pytest.approx(rows[0]["activation"], abs=0.01)
    (judged,) = vitvis.judge.run(run=[str(tmp_path / "fit")], search=[str(tmp_path / "search")], **QUIET)
    assert len(judged.rows) == 4 and all(np.isfinite(row["choice"]) for row in judged.rows)
    assert any(np.isfinite(row["kept_shift"]) for row in judged.rows if row["kept_shift"] is not None)
    page = vitvis.atlas.run(runs=[str(tmp_path / "fit"), str(tmp_path / "search")], out=str(tmp_path / "atlas"))
    assert page and (tmp_path / "atlas" / "index.html").is_file()


def test_colours_are_decorrelated_at_three_channels_only() -> None:
    from vitvis.fit.images import make_image
    from vitvis.fit.settings import ImageSettings

    for channels in (1, 2, 3, 4, 6):
        image = make_image((16, 24), ImageSettings(kind="fourier"), channels)
        parameter = image.start([0])
        assert image(parameter).shape == (1, channels, 16, 24)
        one = parameter.clone()
        one[:, 1:] = 0  # all energy in the first channel
        spread = image(one).std(dim=(2, 3))[0] > 1e-4
        assert int(spread.sum()) == (3 if channels == 3 else 1)


def test_timm_models_take_their_channels_by_name() -> None:
    backbone = load_backbone("resnet18+in_chans=5", "none", 32)
    assert backbone.channels == 5 and backbone.name == "resnet18+in_chans=5"
    assert backbone.sites["layer1.0.block"].grid == (8, 8)
    assert backbone(torch.rand(2, 5, 32, 32)).shape == (2, 1000)
    for name in ("resnet18+in_chans=0", "resnet18+in_chans=x", "vitvis_vit+in_chans=2", "hf:some/model+in_chans=4"):
        with pytest.raises(VitvisError, match="in_chans") as error:
            load_backbone(name, "none")
        assert "\n" not in str(error.value)


def test_own_modules_tell_their_channels_by_mean_or_number() -> None:
    network, _ = tiny.six()
    assert load_backbone(network, mean=[0.5] * 6, std=[1] * 6, image_size="24x40").channels == 6
    assert load_backbone(network, in_chans=6, image_size="24x40").channels == 6
    with pytest.raises(VitvisError, match="6 numbers"):
        load_backbone(network, mean=[0.5] * 3, in_chans=6, image_size="24x40")
    with pytest.raises(VitvisError, match="no text, video or volumes"):
        load_backbone(torch.nn.Sequential(torch.nn.Conv3d(3, 4, 2)), image_size=32)


def test_arrays_and_tiffs_of_every_layout_hold_the_same(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (30, 50, 6)).astype(np.uint16)
    wanted = values / 65535
    for name, array in {"hwc": values, "chw": values.transpose(2, 0, 1), "float": wanted.astype(np.float64)}.items():
        np.save(tmp_path / f"{name}.npy", array)
        found = decode(tmp_path / f"{name}.npy")
        assert isinstance(found, Bands)
        np.testing.assert_allclose(found.values, wanted, atol=1e-6)
    for planes in ("contig", "separate"):
        source = values if planes == "contig" else values.transpose(2, 0, 1)
        found = decode(tiff(source, planarconfig=planes))
        np.testing.assert_allclose(found.values, wanted, atol=1e-6)
    pages = decode(tiff(np.ascontiguousarray(values.transpose(2, 0, 1))))  # a page a band
    np.testing.assert_allclose(pages.values, wanted, atol=1e-6)


def test_ordinary_tiffs_stay_pictures() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(colours).save(buffer, format="TIFF")
    found = decode(buffer.getvalue())
    assert isinstance(found, Image.Image) and np.array_equal(np.asarray(found), colours)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((4, 20, 20, 3)), "no video, no volumes"), (np.full((20, 20, 2), 7.0), r"not in \[0, 1\]"),
        (np.zeros((20, 20, 2), np.int64), "int64"), (np.array([{}], dtype=object), "holds objects"),
        (np.full((20, 20), np.nan), r"not in \[0, 1\]"),
    ],
)  # fmt: skip
def test_arrays_that_are_no_images(array: np.ndarray, says: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(UnusableImage, match=says):
        decode(tmp_path / "a.npy")


def test_an_array_that_claims_more_than_its_file_holds(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((20, 20, 2), np.uint8))
    content = (tmp_path / "a.npy").read_bytes().replace(b"(20, 20, 2)", b"(2000000, 20000, 2)"[:11].ljust(11))
    (tmp_path / "a.npy").write_bytes(content[:200])
    with pytest.raises(UnusableImage):
        decode(tmp_path / "a.npy")


def test_images_of_other_channels_are_left_out_with_the_reason(photos: dict[int, Path], tmp_path: Path) -> None:
    with pytest.raises(VitvisError, match="it has 6 bands, and the model takes 2"):
        vitvis.search.run(QUIET, model=MODELS[2], data=f"folder:{photos[6]}", units=["blocks.1.mlp:0"], workers=0,
                          out=str(tmp_path / "a"))  # fmt: skip
    with pytest.raises(VitvisError, match="RGB picture, and the model takes 2 bands"):
        vitvis.search.run(QUIET, model=MODELS[2], data=f"folder:{photos[1]}", units=["blocks.1.mlp:0"], workers=0,
                          out=str(tmp_path / "b"))  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"bands": [0, 1, 6]}, "0 to 5"), ({"alpha": 80}, "alpha"),
        ({"augment": {"kornia": {"RandomHue": {"hue": [-0.1, 0.1]}}}}, "6 channels"),
    ],
)  # fmt: skip
def test_what_needs_three_channels_says_so(settings: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(VitvisError, match=says) as error:
        vitvis.fit.run({**QUIET, **settings}, model=MODELS[6], units=["blocks.1.mlp:0"], out=str(tmp_path / "out"))
    assert "\n" not in str(error.value) and not (tmp_path / "out").exists()


def test_bands_are_shown_as_tiles_or_colours() -> None:
    pixels = np.arange(4 * 6 * 5, dtype=np.uint8).reshape(4, 6, 5)
    page = show_bands(pixels)
    assert page.shape == (2 * 4 + 2, 3 * 6 + 4, 3)
    assert np.array_equal(page[6:10, 8:14, 0], pixels[:, :, 4]) and np.array_equal(page[:4, 16:22, 1], pixels[:, :, 2])
    assert np.array_equal(show_bands(pixels, [4, 0, 2]), pixels[:, :, [4, 0, 2]])
