"""Shards of a judge: processes that know of no others look; the last one scores what one process would."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import vitvis.judge
from tests.judge.test_command import judge
from vitvis.errors import VitvisError
from vitvis.judge import engine, passes
from vitvis.runs.lock import FolderLock


def test_the_last_shard_scores_and_one_that_is_run_twice_does_nothing_twice(
    fit: Path, search: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = {"search": [str(search)], "batch_size": 4}
    (whole,) = judge(fit, **asked)
    kept = {end: (fit / "judge" / f"vitvis_resnet.{end}").read_bytes() for end in ("json", "parquet")}
    for path in (search / "judge", fit / "judge"):
        shutil.rmtree(path)
    with pytest.raises(VitvisError, match="no shard has done anything here yet"):
        judge(fit, **asked, finish=True)
    assert not (fit / "judge").exists()
    done: list[Path] = []
    plain = passes.atomic_write
    monkeypatch.setattr(passes, "atomic_write", lambda path, data: done.append(path) or plain(path, data))
    assert (
        judge(fit, **asked, shard="1/3") == judge(fit, **asked, shard="0/3") == judge(fit, **asked, shard="1/3") == []
    )
    with pytest.raises(VitvisError, match="finish=true, but [0-9]+ of [0-9]+ batches are not done yet"):
        judge(fit, **asked, finish=True)
    (last,) = judge(fit, **asked, shard="2/3")
    assert last.rows == whole.rows and last.about == whole.about
    assert {end: (fit / "judge" / f"vitvis_resnet.{end}").read_bytes() for end in kept} == kept
    assert len(done) == len(set(done)) and not (fit / "judge" / "work").exists()
    assert not list((fit / "judge").glob(".lock*"))
    count = len(done)
    for again in ({"shard": "1/3"}, {"finish": True}, {"shard": "3/4"}):
        (read,) = judge(fit, **asked, **again)
        assert (read.rows, read.summary, read.sites) == (last.rows, last.summary, last.sites)
    assert len(done) == count
    assert judge(fit, **asked | {"samples": 30}, shard="0/2") == []  # another question
    monkeypatch.setattr(engine, "MEASURES", engine.MEASURES + 1)
    assert judge(fit, **asked, shard="0/2") == []  # the names of its measures have come to mean something else


def test_a_share_has_one_process(fit: Path, search: Path) -> None:
    (fit / "judge").mkdir()
    lock = FolderLock(fit / "judge", "0-of-2")
    lock.acquire()
    for more in ({"shard": "0/2"}, {}):
        with pytest.raises(VitvisError, match="0-of-2"):
            judge(fit, sturdiness=0, **more)
    lock.release()
    for wrong in ({"shard": "2/2"}, {"shard": "0/2", "finish": True}, {"shard": "0/2", "answers": ["a.json"]}):
        with pytest.raises(VitvisError, match="shard=|answers="):
            vitvis.judge.run(run=[str(fit)], **wrong)
