"""Shards: processes that know of no others, in one folder; joined, what one process finds, to the last bit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.search.test_engine import _settings, photos, tiny_backbone  # noqa: F401  fixtures
from vitvis.errors import VitvisError
from vitvis.runs.lock import FolderLock
from vitvis.search import engine, read_search
from vitvis.search.module import ExemplarSearch

MORE = ("batch_size=4", "checkpoint_every=4")


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "load_backbone", lambda *args, **kwargs: tiny_backbone())


@pytest.fixture(scope="module")
def whole(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "load_backbone", lambda *args, **kwargs: tiny_backbone())
        return engine.search(_settings(photos, tmp_path_factory.mktemp("whole") / "out", *MORE))


def _same(one: Path, two: Path) -> None:
    assert read_search(one).records == read_search(two).records
    for name in ("skipped.csv", "images.parquet", *(f"maps/blocks.{block}.mlp.npy" for block in (0, 2))):
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
    assert {path.name for path in one.rglob("*")} == {path.name for path in two.rglob("*")}


def test_the_last_shard_joins_and_one_that_is_run_twice_does_nothing_twice(
    photos: Path,  # noqa: F811
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, seen = tmp_path / "out", []
    look = ExemplarSearch.look
    monkeypatch.setattr(ExemplarSearch, "look", lambda self, batch: (seen.append(batch.number), look(self, batch))[1])
    with pytest.raises(VitvisError, match="no shard has done anything here yet"):
        engine.search(_settings(photos, out, *MORE, "finish=true"))
    assert not out.exists()
    for shard in ("1/3", "2/3", "1/3"):
        assert engine.search(_settings(photos, out, *MORE, f"shard={shard}")) is None
    with pytest.raises(VitvisError, match="finish=true, but 3 of 11 batches are not done yet"):
        engine.search(_settings(photos, out, *MORE, "finish=true"))
    assert engine.search(_settings(photos, out, *MORE, "shard=0/3")) == out
    assert sorted(seen) == list(range(11))
    _same(whole, out)
    assert json.loads((out / "summary.json").read_text())["images"] == 39
    engine.search(_settings(photos, out, *MORE, "shard=0/3"))
    assert len(seen) == 11


def test_another_number_of_shards_goes_on_and_overlaps_count_once(
    photos: Path,  # noqa: F811
    whole: Path,
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    engine.search(_settings(photos, out, *MORE, "shard=0/5"))
    kept = (out / "state" / "rank-0-of-5.pt").read_bytes()
    for path in (out / "state").iterdir():  # a shard of four that started when nothing was done yet
        path.rename(tmp_path / path.name)
    engine.search(_settings(photos, out, *MORE, "shard=0/4"))
    (out / "state" / "rank-0-of-5.pt").write_bytes(kept)
    engine.search(_settings(photos, out, *MORE, "shard=1/2"))
    _same(whole, engine.search(_settings(photos, out, *MORE)))  # without shard=: does what is left, and joins


def test_a_live_shard_is_left_alone(photos: Path, tmp_path: Path) -> None:  # noqa: F811
    out = tmp_path / "out"
    engine.search(_settings(photos, out, *MORE, "shard=0/2"))
    lock = FolderLock(out, "1-of-2")
    lock.acquire()
    for more in ("shard=1/2", "finish=false", "finish=true"):
        with pytest.raises(VitvisError, match="1-of-2"):
            engine.search(_settings(photos, out, *MORE, more))
    lock.release()
    assert engine.search(_settings(photos, out, *MORE, "shard=1/2")) == out


@pytest.mark.parametrize(
    ("wrong", "says"),
    [("shard=3/3", "numbered 0 to 2"), (["shard=0/3", "finish=true"], "give one of the two"),
     (["shard=0/3", "trainer.devices=2"], "is one process")],
)  # fmt: skip
def test_shards_that_are_none_are_one_line(photos: Path, tmp_path: Path, wrong: str | list[str], says: str) -> None:  # noqa: F811
    with pytest.raises(VitvisError, match=says):
        _settings(photos, tmp_path / "out", *([wrong] if isinstance(wrong, str) else wrong))


SHARD = """
import os, signal, sys
from tests.search.test_engine import tiny_backbone
from vitvis.config.core import merge
from vitvis.search import engine
from vitvis.search.module import ExemplarSearch
from vitvis.search.settings import SearchSettings

look = ExemplarSearch.look
def dies(self, batch):
    if self.done:
        os.kill(os.getpid(), signal.SIGKILL)
    look(self, batch)

if sys.argv[1] == "dies":
    ExemplarSearch.look = dies
engine.load_backbone = lambda *args, **kwargs: tiny_backbone()
engine.search(merge(SearchSettings, sys.argv[2:]))
"""


@pytest.mark.slow
def test_shards_that_start_at_once_of_which_one_is_killed(
    photos: Path,  # noqa: F811
    whole: Path,
    tmp_path: Path,
    root: Path,
) -> None:
    from tests.search.test_engine import _arguments

    out, ends = tmp_path / "out", ("dies", "lives")
    words = [_arguments(photos, out, *MORE, f"shard={number}/2") for number in (0, 1)]
    starts = [[sys.executable, "-c", SHARD, end, *own] for end, own in zip(ends, words, strict=True)]
    children = [subprocess.Popen(start, cwd=root) for start in starts]
    assert [child.wait(timeout=300) for child in children] == [-9, 0] and not (out / "records").exists()
    subprocess.run([sys.executable, "-c", SHARD, "lives", *words[0]], cwd=root, check=True, timeout=300)
    _same(whole, out)
