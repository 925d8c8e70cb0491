"""What the atlas writes: same bytes, nothing private, whole or not at all."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.atlas import made_runs as made
from vitvis.atlas import Atlas, write_atlas
from vitvis.atlas.charts import ticks
from vitvis.atlas.details import even_bars
from vitvis.atlas.neighbours import nearest_units
from vitvis.atlas.privacy import tidy, without_paths
from vitvis.errors import VitvisError
from vitvis.runs import read_png_text, save_png


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def read_data(site: Path, name: str) -> dict:
    text = (site / "data" / f"{name}.js").read_text()
    prefix = f'vitvis.put("{name}",'
    assert text.startswith(prefix)
    return json.loads(text[len(prefix) : -3])


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.write_fit(tmp_path_factory.mktemp("small") / "fit", depths=2, units=6)


def test_the_same_runs_give_the_same_bytes(runs: list[Path], atlas: Atlas, tmp_path: Path) -> None:
    again = write_atlas(runs, tmp_path / "again")
    assert digests(again.path.parent) == digests(atlas.path.parent)
    assert again.bytes == sum(path.stat().st_size for path in again.path.parent.rglob("*") if path.is_file())


def test_no_absolute_path_leaves_unless_asked(runs: list[Path], atlas: Atlas, tmp_path: Path) -> None:
    def places(site: Path) -> list[str]:
        found = []
        for path in site.rglob("*"):
            if path.is_file() and any(
                word in path.read_bytes() for word in (b"/home/me", b"/data/", str(runs[0]).encode())
            ):
                found.append(path.suffix)
        return [suffix for suffix in found]

    assert places(atlas.path.parent) == []
    asked = write_atlas(runs, tmp_path / "asked", paths=True)
    assert {".js", ".png"} <= set(places(asked.path.parent))


def test_columns_are_those_of_the_records(runs: list[Path], atlas: Atlas) -> None:
    from vitvis.runs import read_records

    about = read_data(atlas.path.parent, "atlas")
    site = next(site for site in about["backbones"][0]["sites"] if site["name"] == "blocks.2.mlp")
    table = read_data(atlas.path.parent, site["id"])
    rows = {(row["unit"], row["seed"]): row for row in read_records(runs[0]) if row["site"] == "blocks.2.mlp"}
    assert len(table["unit"]) == 12 * 3
    assert table["unit"][:12] == list(range(12))
    for place, unit in enumerate(table["unit"]):
        if table["run"][place] == 0:
            row = rows[unit, table["seed"][place]]
            assert table["activation"][place] == pytest.approx(row["activation"], rel=1e-4)
            assert table["rank"][place] == row["rank"]
            assert (atlas.path.parent / table["file"][place]).is_file()


def test_a_budget_shrinks_then_leaves_out_full_pictures_only(small: Path, tmp_path: Path) -> None:
    large = write_atlas([small], tmp_path / "large")
    tight = write_atlas([small], tmp_path / "tight", max_mb=0.52)
    assert large.left_out == 0
    assert tight.bytes <= 0.52e6 < large.bytes
    assert len(list((tight.path.parent / "sprites").iterdir())) == len(list((large.path.parent / "sprites").iterdir()))
    with pytest.raises(VitvisError, match="max_mb"):
        write_atlas([small], tmp_path / "none", max_mb=0.01)
    assert not (tmp_path / "none").exists()
    assert not list(tmp_path.glob(".*"))


def test_photos_keep_within_the_budget_strongest_first(tmp_path: Path) -> None:
    search = made.write_search(tmp_path / "search", depths=1, units=30, kinds=("mlp",), photos=400)
    large = write_atlas([search], tmp_path / "large")
    limit = (large.bytes - sum(path.stat().st_size for path in large.path.parent.glob("thumbs/*/*"))) / 1e6 + 0.03
    tight = write_atlas([search], tmp_path / "tight", max_mb=limit)
    assert (large.photos_left_out, tight.bytes <= limit * 1e6) == (0, True)
    here = {int(path.stem) for path in tight.path.parent.glob("thumbs/r0/*.webp")}
    absent = set(read_data(tight.path.parent, "photos")["absent"]["0"])
    assert 0 < len(here) and tight.photos_left_out == len(absent)
    ranks: list[list[bool]] = [[] for _ in range(9)]
    for unit in read_data(tight.path.parent, "s0-0"):
        for rank, photo in enumerate(unit["search"][0]["strong"]):
            assert (photo["i"] in here) != (photo["i"] in absent)  # the page asks for no file that is not there
            ranks[rank].append(photo["i"] in here)
    shares = [sum(found) / len(found) for found in ranks]
    assert shares[0] > shares[-1] + 0.2


def test_charts_do_not_mix_recipes(tmp_path: Path) -> None:
    from vitvis.atlas.overview import depth_charts
    from vitvis.atlas.readers import read_backbones, read_runs

    options = dict(depths=3, units=6, seeds=(0,), strips=False)
    runs = [
        made.write_fit(tmp_path / "a", kinds=("mlp",), **options),
        made.write_fit(tmp_path / "b", kinds=("mlp",), tv=0.7, **options),
        made.write_fit(tmp_path / "c", kinds=("attn",), **options),
    ]
    (backbone,) = read_backbones(read_runs(runs))
    groups = depth_charts(backbone)
    assert [[run.name for run in group["runs"]] for group in groups] == [["a", "c"], ["b"]]
    assert [group["charts"][0]["kinds"] for group in groups] == [["mlp", "attn"], ["mlp"]]


def test_it_replaces_an_atlas_and_nothing_else(small: Path, tmp_path: Path) -> None:
    write_atlas([small], tmp_path / "site")
    write_atlas([small], tmp_path / "site", title="again")
    assert "again" in (tmp_path / "site" / "index.html").read_text()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("x")
    with pytest.raises(VitvisError, match="no atlas"):
        write_atlas([small], mine)
    assert (mine / "thesis.tex").read_text() == "x"


def test_an_atlas_within_its_run_refers_to_the_pictures_there(tmp_path: Path) -> None:
    run = made.write_fit(tmp_path / "run", depths=1, units=4, kinds=("mlp",), seeds=(0,))
    done = write_atlas([run], run / "atlas", link=True)
    table = read_data(done.path.parent, "s0")
    assert table["file"][2] == "../images/blocks.0.mlp/2_s0.png"
    assert all((done.path.parent / name).is_file() for name in table["file"] + table["strip"])
    assert not (done.path.parent / "images").exists()


def test_a_record_can_not_reach_out_of_its_run(tmp_path: Path) -> None:
    from PIL import Image

    from vitvis.atlas.model import Run

    (tmp_path / "run").mkdir()
    Image.new("RGB", (2, 2)).save(tmp_path / "secret.png")
    run = Run("r0", "run", tmp_path / "run", "fit", {})
    assert run.file("../secret.png") is None and run.file(str(tmp_path / "secret.png")) is None
    Image.new("RGB", (2, 2)).save(tmp_path / "run/own.png")
    assert run.file("own.png") == tmp_path / "run/own.png"


def test_a_damaged_picture_is_an_empty_tile(tmp_path: Path) -> None:
    run = made.write_fit(tmp_path / "run", depths=1, units=4, kinds=("mlp",), seeds=(0,))
    next(run.glob("images/*/2_s0.png")).write_bytes(b"no picture")
    done = write_atlas([run], tmp_path / "site")
    assert [bool(colour) for colour in read_data(done.path.parent, "s0")["colour"]] == [True, True, False, True]


@pytest.mark.parametrize(
    ("text", "tidied"),
    [
        ("python -m vitvis.search data=/home/me/photos k=9", "python -m vitvis.search data=…/photos k=9"),
        ("weights='~/w/x.pth'", "weights='…/x.pth'"),
        (r"C:\Users\me\w.pth", "…/w.pth"),
        ("imagenet:/data/ILSVRC", "imagenet:…/ILSVRC"),
        ("units=blocks.*.mlp:0-7 out=out/run 1/2", "units=blocks.*.mlp:0-7 out=out/run 1/2"),
    ],
)
def test_paths_are_shortened_and_nothing_else(text: str, tidied: str) -> None:
    assert tidy(text) == tidied


def test_png_keeps_pixels_and_clean_text(tmp_path: Path) -> None:
    data = save_png(made.pattern(1, 1, "mlp"), {"unit": "a:1", "command": "x out=/home/me/y"})
    (tmp_path / "x.png").write_bytes(without_paths(data))
    assert read_png_text(tmp_path / "x.png") == {"unit": "a:1"}


def test_a_histogram_of_uneven_bins_is_drawn_over_even_ones() -> None:
    counts, edges = [3, 0, 8, 2], [-1.0, -0.5, -0.25, -0.125, 3.0]
    bars = even_bars(counts, edges, 16)
    slow = [0.0] * 16
    for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True):
        for bar in range(16):
            left, right = -1 + bar / 4, -1 + (bar + 1) / 4
            slow[bar] += count * max(0.0, min(high, right) - max(low, left)) / (high - low)
    assert bars == pytest.approx(slow, abs=0.006)
    assert sum(bars) == pytest.approx(13, abs=0.1)


def test_nearest_units_share_most_photos() -> None:
    assert nearest_units([[1, 2, 3], [2, 3, 4], [3, 9], [7]], 5) == [
        [(1, 2), (2, 1)],
        [(0, 2), (2, 1)],
        [(0, 1), (1, 1)],
        [],
    ]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 0.13), (-3, 27.5), (0, 1e-6)])
def test_ticks_are_round_and_within(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 2 <= len(found) <= 6
    assert all(low - 1e-12 <= tick <= high + 1e-12 for tick in found)
