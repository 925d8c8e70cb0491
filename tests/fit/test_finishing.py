"""What is about a whole run depends on what its folder holds, not on who made it, nor in which order."""

from __future__ import annotations

import csv
import shutil

import pytest

from vitvis.config.core import merge
from vitvis.errors import VitvisError
from vitvis.fit.engine import run_fit
from vitvis.fit.finishing import finish
from vitvis.fit.settings import FitSettings
from vitvis.runs import RunFolder, read_records
from vitvis.runs.summary import summarize

SMALL = ["model=test_vit", "weights=none", "image_size=64", "steps=4", "copies=1", "trainer.accelerator=cpu"]
SMALL += ["trainer.progress=none", "logger.every=2", "chunk=2"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("finish") / "run"
    run_fit(merge(FitSettings, SMALL, {"units": ["blocks.{0,1}.mlp:0-3"], "out": str(out)}))
    return out


def contents(folder):
    return {name: (folder / name).read_bytes() for name in ("metrics.csv", "summary.json", "sheet.png")}


def test_anybody_may_finish_a_folder_again(whole, tmp_path) -> None:
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    for name in contents(out):
        if name != "metrics.csv":
            (out / name).unlink()
    with RunFolder.reopen(out, "fit") as folder:
        finish(folder)
    assert contents(out) == contents(whole)


def test_the_summary_of_each_chunk_is_that_of_the_chunks_before_it(whole) -> None:
    """However the work was shared: here in two starts, the deeper half first."""
    with open(whole / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    ends = [row for row in rows if row["summary/score"]]
    assert [int(row["summary/units"]) for row in ends] == [2, 4, 6, 8]
    assert [row["site"] for row in ends] == ["blocks.0.mlp"] * 2 + ["blocks.1.mlp"] * 2
    expected = summarize(read_records(whole))
    assert float(ends[-1]["summary/score"]) == pytest.approx(expected["score"])


def test_the_order_of_starts_does_not_show(whole, tmp_path) -> None:
    out = tmp_path / "run"
    for units in ("blocks.1.mlp:0-3", "blocks.0.mlp:0-3"):
        run_fit(merge(FitSettings, SMALL, {"units": [units], "out": str(out)}))

    def curves(folder):
        with open(folder / "metrics.csv", newline="") as file:
            return [{key: row[key] for key in row if "seconds" not in key} for row in csv.DictReader(file)]

    assert curves(out) == curves(whole)
    assert (out / "sheet.png").read_bytes() == (whole / "sheet.png").read_bytes()


def test_there_has_to_be_a_fit(tmp_path) -> None:
    with pytest.raises(VitvisError, match="holds no run of vitvis.fit"):
        RunFolder.reopen(tmp_path / "nothing", "fit")
    with RunFolder.open(tmp_path / "search", kind="search", settings={}, identity={}) as folder:
        folder.write_text("x.txt", "x")
    with pytest.raises(VitvisError, match="holds a run of vitvis.search"):
        RunFolder.reopen(tmp_path / "search", "fit")
