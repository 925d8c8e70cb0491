"""A judge inside a fit says what the command says afterwards, and a sweep can maximise it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

import vitvis.fit
import vitvis.judge
from vitvis.errors import VitvisError
from vitvis.runs import read_records

QUICK = {"units": ["blocks.3.mlp:0-1", "head:0-2"], "steps": 3, "copies": 1, "trainer.progress": "none"}


@pytest.mark.parametrize("size", [None, 48])
def test_records_carry_the_verdict_of_the_command(made: Path, search: Path, tmp_path: Path, size: int | None) -> None:
    out = tmp_path / "run"
    judge = {"judge.model": "vitvis_resnet", "judge.search": str(search), "judge.image_size": size}
    records = vitvis.fit.run({**QUICK, **judge}, seeds=[0], chunk=2, out=str(out))
    (done,) = vitvis.judge.run(
        run=str(out), search=str(search), sturdiness=0, image_size=size, trainer={"progress": "none"}
    )
    assert done.about["judge"]["image_size"] == [size or 64] * 2
    rows = {row["address"]: row for row in done.rows}
    assert {record["address"] for record in records} == set(rows)
    for record in records:
        row = rows[record["address"]]
        assert record["judged_by"] == "vitvis_resnet"
        assert record["judge"] == pytest.approx(row["judge"], abs=1e-6)
        assert record["judge_choice"] == pytest.approx(row["choice"], abs=1e-6)
        assert record["judge_top5"] == row["top5"]
        if row["class_probability"] is not None:
            assert record["judge_probability"] == pytest.approx(row["class_probability"], rel=1e-4)
    summary = json.loads((out / "summary.json").read_text())
    assert summary["judge"] == pytest.approx(sum(record["judge"] for record in records) / len(records), abs=1e-6)
    with open(out / "metrics.csv") as file:
        column = [row["summary/judge"] for row in csv.DictReader(file) if row.get("summary/judge")]
    assert float(column[-1]) == pytest.approx(summary["judge"], abs=1e-6)


def test_pictures_and_recipe_do_not_depend_on_who_judges(made: Path, search: Path, tmp_path: Path) -> None:
    judge = {"judge.model": "vitvis_resnet", "judge.search": str(search)}
    alone = vitvis.fit.run(QUICK, out=str(tmp_path / "alone"))
    judged = vitvis.fit.run({**QUICK, **judge}, out=str(tmp_path / "judged"))
    assert {record["recipe"] for record in alone} == {record["recipe"] for record in judged}
    assert [record["activation"] for record in alone] == [record["activation"] for record in judged]
    assert all("judge" not in record for record in alone)
    again = vitvis.fit.run({**QUICK, **judge}, out=str(tmp_path / "alone"))  # nothing is missing: nothing is judged
    assert again == read_records(tmp_path / "alone")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"judge.model": "vitvis_vit"}, "its own pictures"),
        ({"judge.search": "."}, "needs a judge"),
        ({"judge.model": "vitvis_resnet", "judge.search": "nowhere"}, "no such folder"),
        ({"judge.model": "resnet_5O"}, "no model"),
    ],
)
def test_mistakes_come_before_anything_is_written(settings: dict, words: str, tmp_path: Path) -> None:
    with pytest.raises(VitvisError, match=words):
        vitvis.fit.run({**QUICK, **settings}, out=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()
