"""Independent processes on one folder: whatever is killed, and however many there are, the run ends as one would."""

import json
import random
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.fit.test_command import ARGV, HERE, curves, files, pixels, without_timing
from vitvis.config.core import merge
from vitvis.errors import VitvisError
from vitvis.fit import main
from vitvis.fit.engine import run_fit
from vitvis.fit.settings import FitSettings
from vitvis.launch.shards import Shard, parse_shard
from vitvis.runs import RunFolder, read_records

MANY = [*(word for word in ARGV if not word.startswith(("units=", "chunk="))), "units=blocks.{0,1}.mlp:0-4", "chunk=1"]


class Children:
    """Fits in forked children, started by one process; several of these work side by side."""

    def __init__(self) -> None:
        command = [sys.executable, str(HERE / "fit_child.py")]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, argv, kill=None):
        self.process.stdin.write(json.dumps({"argv": argv, "kill": kill}) + "\n")
        self.process.stdin.flush()
        status = json.loads(self.process.stdout.readline())
        return -(status & 0x7F) if status & 0x7F else status >> 8

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


@pytest.fixture(scope="module")
def pool():
    """Two processes that fork children."""
    found = [Children(), Children()]
    yield found
    for children in found:
        children.close()


@pytest.fixture(scope="module")
def whole(pool, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "run"
    assert pool[0].run([*MANY, f"out={out}"]) == 0
    return out


def check_same(out, whole) -> None:
    assert files(out) == files(whole)
    assert without_timing(read_records(out)) == without_timing(read_records(whole))
    assert curves(out) == curves(whole)
    assert (out / "sheet.png").read_bytes() == (whole / "sheet.png").read_bytes()
    for name in files(out):
        if name.startswith(("images/", "progress/")):
            assert (pixels(out / name) == pixels(whole / name)).all(), name


def test_seven_shards_with_kills_end_as_one_run(pool, whole, tmp_path) -> None:
    """Two at a time, killed at drawn moments; a second round of three shards goes on where those have stopped."""
    out, draw = tmp_path / "run", random.Random(0)
    kinds = (
        "step:3",
        "step:5",
        "write:images:1",
        "torn:images:1",
        "write:records:1",
        "torn:records:1",
        "write:resume:2",
    )

    def work(task) -> int:
        number, (shard, kill) = task
        return pool[number % 2].run([*MANY, f"out={out}", f"shard={shard}"], kill)

    first = [(f"{index}/7", draw.choice(kinds)) for index in range(7)]
    with ThreadPoolExecutor(2) as two:
        halves = [list(enumerate(first))[half::2] for half in (0, 1)]
        killed = [status for part in two.map(lambda tasks: [work(task) for task in tasks], halves) for status in part]
        assert killed.count(-signal.SIGKILL) >= 5 and not (out / "sheet.png").exists()
        second = [(f"{index}/3", None) for index in range(3)]
        halves = [list(enumerate(second))[half::2] for half in (0, 1)]
        ended = [status for part in two.map(lambda tasks: [work(task) for task in tasks], halves) for status in part]
    assert ended == [0] * 3
    check_same(out, whole)
    stamps = {name: (out / name).stat().st_mtime_ns for name in files(out) if name.startswith("records/")}
    assert pool[0].run([*MANY, f"out={out}", "shard=2/3"]) == 0  # again: it does nothing
    assert stamps == {name: (out / name).stat().st_mtime_ns for name in stamps}


def test_what_is_there_is_drawn_when_asked_for(whole, tmp_path, capsys) -> None:
    out = tmp_path / "run"
    settings = merge(FitSettings, MANY, {"out": str(out), "shard": "1/3"})
    done = run_fit(settings)
    assert done.made == 3 and done.sheet is None and not (out / "summary.json").exists()
    assert run_fit(settings).made == 0
    assert main([f"out={out}", "finish=true"]) == 0
    assert "3 images" in capsys.readouterr().out and (out / "sheet.png").exists() and (out / "atlas").is_dir()
    kept = (out / "images/blocks.0.mlp/1_s0.png").stat().st_mtime_ns
    for shard in ("0/2", "1/2"):
        run_fit(merge(FitSettings, settings, {"shard": shard}))
    assert (out / "images/blocks.0.mlp/1_s0.png").stat().st_mtime_ns == kept
    assert without_timing(read_records(out)) == without_timing(read_records(whole)) and curves(out) == curves(whole)
    with pytest.raises(VitvisError, match="holds no run of vitvis.fit"):
        run_fit(merge(FitSettings, {"out": str(tmp_path / "nothing"), "finish": True}))


def open_as(path, shard, units=("a:1",), lr=1):
    identity, details = {"recipe": {"lr": lr}}, {"units": list(units), "chunk": 2}
    return RunFolder.open(path, kind="fit", settings={}, identity=identity, details=details, shard=shard)


def test_a_shard_has_one_process_and_a_folder_one_run(tmp_path) -> None:
    with open_as(tmp_path, "0-of-2"), open_as(tmp_path, "1-of-2"):
        for shard, words in (("1-of-2", "is working on the shard 1-of-2"), ("", "the shard 0-of-2 is being worked on")):
            with pytest.raises(VitvisError, match=words):
                open_as(tmp_path, shard)
        with pytest.raises(VitvisError, match="recipe.lr was 1, now 3"):  # though nothing is made yet
            open_as(tmp_path, "2-of-3", lr=3)
    with open_as(tmp_path, ""), pytest.raises(VitvisError, match="a run that is no shard is working"):
        open_as(tmp_path, "0-of-2")


def test_the_first_shard_cuts_the_chunks(tmp_path) -> None:
    out = tmp_path / "run"
    run_fit(merge(FitSettings, MANY, {"out": str(out), "shard": "0/2", "chunk": 2}))
    done = run_fit(merge(FitSettings, MANY, {"out": str(out), "shard": "1/2", "chunk": 5}))
    assert done.plan.chunk_size == 2 and done.sheet is not None and len(done.records) == 10
    assert len(list((out / "records").glob("*.parquet"))) == 6


@pytest.mark.parametrize("text", ["8/8", "1", "a/b", "-1/4", "1/0", "0/99999", "1/2/3"])
def test_shares_that_are_none(text) -> None:
    with pytest.raises(VitvisError, match="shard="):
        parse_shard(text)


def test_shares_cover_everything_once() -> None:
    items = list(range(23))
    for count in (1, 4, 30):
        shares = [Shard.of(f"{index}/{count}").own(items) for index in range(count)]
        assert sorted(sum(shares, [])) == items
    assert Shard.of(None).own(items) == items and Shard(3, 8).name == "3-of-8" and parse_shard(" 3 / 8") == "3/8"
