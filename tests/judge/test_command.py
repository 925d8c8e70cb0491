"""The command on real run folders: what it writes, that it goes on, what it refuses, two processes."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import vitvis.judge
from vitvis.backbones import load_backbone
from vitvis.judge.album import Album, open_album
from vitvis.judge.case import open_case
from vitvis.judge.pairs import make_pairs, needed_photos
from vitvis.judge.sturdiness import CHANGES
from vitvis.runs import Ledger, read_records, write_file
from vitvis.search import read_search

QUIET = {"trainer": {"progress": "none", "threads": 1}}


def edit_manifest(run: Path, place: str, **changes) -> None:
    """Change one part of a run's manifest, and the copy of it."""
    manifest = json.loads((run / "manifest.json").read_text())
    manifest[place] |= changes
    for name in ("manifest.json", ".manifest.json"):
        write_file(run, name, json.dumps(manifest).encode())


def judge(fit: Path, **settings) -> list:
    return vitvis.judge.run(run=[str(fit)], **{**QUIET, **settings})


def test_a_row_a_picture_with_everything_that_can_be_measured(fit: Path, search: Path, photos: Path) -> None:
    (done,) = judge(fit, search=[str(search)])
    rows = pq.read_table(fit / "judge" / "vitvis_resnet.parquet").to_pylist()
    records = {(row["address"], row["seed"]): row for row in read_records(fit)}
    assert [(row["address"], row["seed"]) for row in rows] and {(row["address"], row["seed"]) for row in rows} == set(
        records
    )
    assert rows == done.rows
    for row in rows:
        for name in ("judge", "choice", "choice_easy", "choice_hard", "choice_photos", "choice_other", "choice_noise",
                     "clipped", "agreement"):  # fmt: skip
            assert -1 <= row[name] <= 1, name
        assert len(row["choice_by_decile"]) == 10 and row["spectrum"] > 0 and row["seam"] > 0
        assert all(0 <= row[f"kept_{name}"] <= 1 for name in CHANGES if row[f"kept_{name}"] is not None)
        assert (row["class_rank"] is not None) == (row["site"] == "head")
        assert row["beats_photo"] in (True, False) and row["indifferent"] in (True, False)
    told = json.loads((fit / "judge" / "vitvis_resnet.json").read_text())
    assert told["photos"] == "data" and told["notes"] == [] and told["unmatched_classes"] == 0
    summary = json.loads((fit / "summary.json").read_text())
    by_unit: dict[str, list[float]] = {}
    for row in rows:
        by_unit.setdefault(row["address"], []).append(row["judge"])
    assert summary["judge"] == pytest.approx(np.mean([np.mean(values) for values in by_unit.values()]))
    assert summary["judge/vitvis_resnet/choice"] == pytest.approx(told["measures"]["choice"][0])
    assert summary["score"] > 0  # what fit wrote is still there
    assert Ledger(fit).damaged() == []
    assert not (fit / "judge" / "work").exists()
    by_hand(fit, photos, rows)


def by_hand(fit: Path, photos: Path, rows: list[dict]) -> None:
    """Transfer again, by another way: one picture at a time through the judge itself."""
    backbone = load_backbone("vitvis_resnet")
    for row in rows:
        if row["site"] != "head":
            continue
        pixels = np.asarray(Image.open(fit / row["image"]).convert("RGB"), np.float32) / 255
        with torch.no_grad():
            logits = backbone(torch.from_numpy(pixels).permute(2, 0, 1)[None])[0]
        assert row["class_probability"] == pytest.approx(logits.softmax(0)[row["unit"]].item(), rel=1e-3)
        assert row["class_rank"] == 1 + int((logits > logits[row["unit"]]).sum())


def test_photos_are_looked_at_once(fit: Path, search: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (first,) = judge(fit, search=[str(search)], sturdiness=0)
    (cache,) = (search / "judge").glob("photos-*.npz")
    assert len(Album.read(cache)) == 60
    monkeypatch.setattr(Album, "load", lambda self, index: pytest.fail("a photo was decoded again"))
    monkeypatch.setattr("vitvis.judge.engine._spectrum", lambda plan, spectra: [None] * len(spectra))
    (second,) = judge(fit, search=[str(search)], sturdiness=0)
    assert [row["choice"] for row in second.rows] == [row["choice"] for row in first.rows]
    cache.write_bytes(b"broken")
    assert Album.read(cache) == {}


def test_a_killed_judge_goes_on_and_says_the_same(fit: Path, search: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vitvis.judge import passes

    (whole,) = judge(fit, search=[str(search)], batch_size=4)
    for path in (search / "judge", fit / "judge"):
        shutil.rmtree(path)
    done: list[Path] = []
    plain = passes.atomic_write

    def until_seven(path: Path, data: bytes) -> None:
        if len(done) == 7:
            raise KeyboardInterrupt
        done.append(path)
        plain(path, data)

    monkeypatch.setattr(passes, "atomic_write", until_seven)
    with pytest.raises(BaseException):  # noqa: B017  # Lightning turns Ctrl-C into SystemExit
        judge(fit, search=[str(search)], batch_size=4)
    assert len(done) == 7 and all(path.is_file() for path in done)
    damaged = done.pop()  # and one of what was done is damaged: it is done again
    damaged.write_bytes(damaged.read_bytes()[:-40])
    monkeypatch.setattr(passes, "atomic_write", lambda path, data: done.append(path) or plain(path, data))
    (again,) = judge(fit, search=[str(search)], batch_size=4)
    assert len(done) == len(set(done))  # nothing was done twice
    assert again.rows == whole.rows


def test_two_processes_say_the_same(fit: Path, search: Path, tmp_path: Path, root: Path) -> None:
    (alone,) = judge(fit, search=[str(search)])
    shutil.rmtree(search / "judge")
    shutil.rmtree(fit / "judge")
    command = [sys.executable, "-m", "vitvis.judge", f"run={fit}", f"search={search}", "trainer.devices=2",
               "trainer.accelerator=cpu", "trainer.threads=1", "trainer.progress=none"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("choice: right photo") == 1
    assert pq.read_table(fit / "judge" / "vitvis_resnet.parquet").to_pylist() == alone.rows


def test_thumbnails_stand_in_for_photos_that_are_gone(fit: Path, search: Path, tmp_path: Path) -> None:
    edit_manifest(search, "recipe", data=f"folder:{tmp_path / 'moved away'}")
    album = open_album(read_search(search), None, split="validation", photos="auto", folder=fit)
    assert album is not None and album.kind == "thumbs"
    (done,) = judge(fit, search=[str(search)], sturdiness=0)
    assert done.about["photos"] == "thumbs" and "choice" in done.summary


def test_without_photos_only_what_needs_none(fit: Path, photos: Path) -> None:
    (done,) = judge(fit, sturdiness=0)
    assert "choice" not in done.summary and "spectrum" not in done.summary and "top5" in done.summary
    assert any("search=" in note for note in done.about["notes"])
    (done,) = judge(fit, sturdiness=0, data=f"folder:{photos}")
    assert "choice" not in done.summary and done.summary["spectrum"][0] > 0 and done.about["kid"]["mean"] > 0


def test_several_judges_stand_in_columns(fit: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    from vitvis.backbones.eye import load_eye
    from vitvis.judge import engine

    def loaded(name: str, weights: str, **options: object):
        eye = load_eye("vitvis_resnet", **options)
        eye.backbone.name = name
        return eye

    monkeypatch.setattr(engine, "load_eye", loaded)
    names = "judge=[vitvis_resnet,resnet18]"
    assert vitvis.judge.COMMAND.main([f"run={fit}", names, "sturdiness=0", "trainer.progress=none"]) == 0
    head = capsys.readouterr().out.splitlines()[0]
    assert "fit by vitvis_resnet" in head and "fit by resnet18" in head
    summary = json.loads((fit / "summary.json").read_text())
    assert {"judge/vitvis_resnet/top5", "judge/resnet18/top5"} <= set(summary)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"judge": ["vitvis_vit"]}, "has made the pictures"),
        ({"judge": ["vitvis_resnit"]}, "did you mean"),
        ({"judge": ["vitvis_resnet"] * 2}, "twice"),
        ({"judge": ["a", "b", "c"], "weights": ["hub", "hub"]}, "one for each of 3"),
        ({"weights": ["none"]}, "random weights"),
        ({"data": "folder:nowhere"}, "nowhere"),
        ({"search": ["nowhere"]}, "no such folder"),
        ({"run": ["nowhere"]}, "no such folder"),
        ({"run": []}, "run="),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(made: Path, changes: dict, words: str, capsys) -> None:
    before = sorted(made.rglob("*"))
    settings = {"run": [str(made / "fit")], **changes}
    argv = [f"{name}=[{','.join(value)}]" if isinstance(value, list) else f"{name}={value}"
            for name, value in settings.items()]  # fmt: skip
    assert vitvis.judge.COMMAND.main([*argv, "trainer.progress=none"]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert sorted(made.rglob("*")) == before


def test_a_search_of_another_model_is_refused(fit: Path, search: Path, capsys) -> None:
    edit_manifest(search, "backbone", weights_id="0" * 12)
    assert vitvis.judge.COMMAND.main([f"run={fit}", f"search={search}"]) == 2
    assert "no search is of that model" in capsys.readouterr().err


def test_photos_that_a_recipe_has_used_are_no_questions(made: Path) -> None:
    search = read_search(made / "search")
    record = search.record("head:0")
    rows = {index: index for index in range(60)}
    used = record["strongest_index"][:3]
    pairs = make_pairs(record, rows, used=used)
    assert not set(used) & (set(pairs.strong) | set(pairs.weak) | set(pairs.middle))
    assert set(pairs.strong) == set(record["strongest_index"]) - set(used)
    assert needed_photos(record) >= set(pairs.weak) | set(pairs.middle)
    minimised = make_pairs(record, rows, minimised=True)
    assert list(minimised.strong) == record["weakest_index"]
    assert minimised.strong_activation.min() > minimised.weak_activation.max()
    assert (np.diff(minimised.decile[minimised.middle_activation.argsort()]) > 0).all()


def test_seam_of_a_head_counts_the_patches_before_it(made: Path) -> None:
    from vitvis.judge.case import load_model

    case = open_case(made / "fit", [])
    assert case.grid("blocks.3.mlp") == (8, 8) and case.grid("head") is None
    load_model(case)
    assert case.grid("head") == (8, 8)


def test_what_is_unknown_is_said_so(fit: Path) -> None:
    edit_manifest(fit, "backbone", weights="gone.safetensors")
    (done,) = judge(fit)
    assert any("gone.safetensors" in note for note in done.about["notes"])
    assert "kept" not in done.summary and "top5" not in done.summary
    assert math.isfinite(done.summary["seam"][0]) and done.score is None
