"""What judges said of pictures stands in the columns of a site, by the picture's unit and seed."""

from __future__ import annotations

from pathlib import Path

from tests.atlas import made_runs as made
from tests.atlas.test_build import read_data
from vitvis.atlas import write_atlas
from vitvis.runs import read_records, write_file
from vitvis.runs.records import encode_records


def judge(run: Path, name: str, score: float) -> None:
    rows = [
        {"address": row["address"], "seed": row["seed"], "judge": score + row["unit"] / 100,
         "choice": None if row["unit"] else 0.75}
        for row in read_records(run)
    ]  # fmt: skip
    write_file(run, f"judge/{name}.parquet", encode_records(rows))


def test_the_mean_of_the_judges_stands_beside_each_picture(tmp_path: Path) -> None:
    run = made.write_fit(tmp_path / "fit", depths=3, units=4, kinds=("mlp",), seeds=(0, 1), strips=False)
    judge(run, "one", 0.2)
    judge(run, "two", 0.4)
    (run / "judge" / "three.parquet").write_bytes(b"PAR1 broken")
    atlas = write_atlas([run], tmp_path / "atlas").path
    site = read_data(atlas.parent, "s0")
    index = [site["index"][unit] for unit in site["unit"]]
    assert site["judge"] == [round(0.3 + unit / 100, 5) for unit in index]
    assert site["choice"] == [None if unit else 0.75 for unit in index]
    assert set(site["judges"]) == {"one, two"}
    assert site["class_rank"] == [None] * len(index)
    assert ">Judge</" in atlas.read_text() or "Judge over depth" in atlas.read_text()


def test_without_a_judge_nothing_is_said(tmp_path: Path) -> None:
    run = made.write_fit(tmp_path / "fit", depths=3, units=4, kinds=("mlp",), seeds=(0,), strips=False)
    atlas = write_atlas([run], tmp_path / "atlas").path
    assert set(read_data(atlas.parent, "s0")["judge"]) == {None}
    assert "Judge" not in atlas.read_text()
