"""Runs that are not as they should be: a line that says which and why, or a page that does without."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.atlas import made_runs as made
from tests.atlas.test_build import read_data
from vitvis.atlas import write_atlas
from vitvis.errors import VitvisError
from vitvis.runs import RunFolder, read_records, to_parquet, write_file


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return made.write_fit(tmp_path / "whole", depths=2, units=4, kinds=("mlp",), seeds=(0,), strips=False)


def write_manifest(run: Path, text: str) -> None:
    for name in ("manifest.json", ".manifest.json"):
        write_file(run, name, text.encode())


def row_of(page: str, run: str) -> str:
    rows = re.findall(r"<tr>.*?</tr>", page, re.DOTALL)
    return next(row for row in rows if re.match(rf"<tr><td>(<a[^>]*>)?{re.escape(run)}<", row))


def test_a_run_that_has_just_begun_is_listed(whole: Path, tmp_path: Path) -> None:
    for kind in ("fit", "search", "evaluate", "sweep"):
        with RunFolder.open(tmp_path / f"new-{kind}", kind=kind, settings={}, identity={}):
            pass
    runs = [whole, *(tmp_path / f"new-{kind}" for kind in ("fit", "search", "evaluate", "sweep"))]
    page = write_atlas(runs, tmp_path / "atlas").path.read_text()
    assert "no records yet" in row_of(page, "new-fit")
    assert "no records yet" in row_of(page, "new-search")
    assert "no results yet" in row_of(page, "new-evaluate")
    assert "0 trials" in row_of(page, "new-sweep")
    with pytest.raises(VitvisError, match="no record yet"):
        write_atlas(runs[1:], tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_killed_fit_says_how_much_is_there(whole: Path, tmp_path: Path) -> None:
    manifest = json.loads((whole / "manifest.json").read_text())
    manifest |= {"units": [f"blocks.{depth}.mlp:{unit}" for depth in range(4) for unit in range(4)], "seeds": [0, 1]}
    write_manifest(whole, json.dumps(manifest))
    page = write_atlas([whole], tmp_path / "atlas").path.read_text()
    assert "8 of 32 images" in row_of(page, "whole")


@pytest.mark.parametrize("lost", ["thumbs", "maps", "images.parquet"])
def test_a_search_without_some_of_its_files_still_shows_the_rest(lost: str, tmp_path: Path) -> None:
    search = made.write_search(tmp_path / "search", depths=1, units=4, kinds=("mlp",))
    path = search / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    done = write_atlas([search], tmp_path / "atlas")
    details = read_data(done.path.parent, "s0-0")
    assert [photo["a"] for photo in details[2]["search"][0]["strong"]] == pytest.approx(
        read_records(search)[2]["strongest_activation"], rel=1e-4
    )
    photos = [photo for unit in details for photo in unit["search"][0]["strong"]]
    absent = read_data(done.path.parent, "photos")["absent"]
    assert ({photo["i"] for photo in photos} <= set(absent.get("0", []))) == (lost == "thumbs")
    assert all(("m" in photo) == (lost != "maps") for photo in photos)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda run: [path.unlink() for path in run.glob("*manifest.json")], "whole: is no run folder"),
        (lambda run: write_manifest(run, "{"), "can't be read as JSON"),
        (lambda run: write_manifest(run, "[1]"), "is no manifest of vitvis"),
        (lambda run: write_manifest(run, '{"kind": "dream"}'), "kind 'dream'"),
        (lambda run: next((run / "records").iterdir()).write_bytes(b"PAR1"), "can't be read"),
        (lambda run: rename_column(run), "record 0 has no address; remove it"),
    ],
)
def test_a_folder_that_can_not_be_read_is_one_line(spoil, message: str, whole: Path, tmp_path: Path) -> None:
    spoil(whole)
    with pytest.raises(VitvisError, match=message) as caught:
        write_atlas([whole], tmp_path / "atlas")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "atlas").exists()
    assert not list(tmp_path.glob(".*"))


def rename_column(run: Path) -> None:
    """Leave records as an older version might have written them."""
    import pyarrow.parquet as pq

    manifest = json.loads((run / "manifest.json").read_text())
    write_manifest(run, json.dumps(manifest | {"vitvis": "0.0.1"}))
    for shard in (run / "records").iterdir():
        table = pq.ParquetFile(shard).read()
        renamed = table.rename_columns(["unit_name" if name == "address" else name for name in table.column_names])
        write_file(run, f"records/{shard.name}", to_parquet(renamed))


def test_a_folder_of_runs_names_them(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(VitvisError, match=f"holds 1; give those: {whole}"):
        write_atlas([tmp_path], tmp_path / "atlas")
