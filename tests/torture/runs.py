"""Small runs of every command, started in forked children, and the comparison of what they leave."""

from __future__ import annotations

import io
import json
import os
import random
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.golden.photos import write_boxes, write_classes

__all__ = ["RUNS", "Outcome", "Table", "arguments", "differences", "prepare", "start"]

ROOT = Path(__file__).resolve().parents[2]
QUIET = ["trainer.accelerator=cpu", "trainer.progress=none"]
TINY = ["model=test_vit", "weights=none", "image_size=64", "units=blocks.{0,1}.mlp:0-3"]
#: Columns and keys that hold times, or the command and the folder of a run.
VOLATILE = {"seconds", "summary/seconds", "images_per_second", "command", "created", "out", "path", "processes", "log"}
#: Written anew by every run of a command, from what is compared anyway; their names are compared.
DERIVED = re.compile(r"(^|/)(atlas/.*|SHA256SUMS|study\.journal|.*\.log|index\.html|chart\.png|results\.png)$")


def fit(folder: Path) -> list[str]:
    """Return a fit of eight images in four chunks, with checkpoints inside of chunks and strips."""
    more = ["steps=8", "copies=2", "chunk=2", "strips=3", "trainer.checkpoint_every=2", "logger.every=2"]
    return ["fit", *TINY, *QUIET, *more]


def search(folder: Path) -> list[str]:
    """Return a search of sixteen photos with boxes, in batches of two."""
    data = [f"data=folder:{folder / 'boxes'}", "batch_size=2", "checkpoint_every=2", "workers=0"]
    return ["search", *TINY, *QUIET, *data, "k=3", "sample=12", "per_decile=1", "strips=all"]


def evaluate(folder: Path) -> list[str]:
    """Return an evaluation of one model on sixteen photos with boxes."""
    data = [f"data=folder:{folder / 'boxes'}", "fill=black", "bootstrap=100", "workers=0", "batch_size=6"]
    return ["evaluate", *QUIET, "models=[vitvis_vit]", *data]


def sweep(folder: Path) -> list[str]:
    """Return a sweep of four trials of a stand-in for fit, which takes a moment each."""
    return ["sweep", str(folder / "sweep.yaml"), "devices=cpu", "workers=1"]


RUNS: dict[str, Callable[[Path], list[str]]] = {"fit": fit, "search": search, "evaluate": evaluate, "sweep": sweep}
SWEEP = """
name: torture
program: {trial}
method: random
run_cap: 4
metric: {{name: summary/score, goal: maximize}}
parameters:
  regularize.tv: {{min: 0.0, max: 1.0}}
  steps: {{min: 1, max: 50}}
command: ["${{interpreter}}", "${{program}}", "${{args_no_hyphens}}"]
"""


def prepare(folder: Path) -> None:
    """Write photos and the sweep file, and import what the commands need, so that children have it."""
    write_boxes(folder / "boxes")
    write_classes(folder / "classes")
    (folder / "sweep.yaml").write_text(SWEEP.format(trial=Path(__file__).with_name("trial.py")))
    os.environ |= {"HF_HUB_OFFLINE": "1", "WANDB_MODE": "disabled"}
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    import torch

    import vitvis.atlas.build
    import vitvis.evaluate.engine
    import vitvis.fit.engine
    import vitvis.search.engine
    import vitvis.sweep.runner  # noqa: F401

    torch.set_num_threads(1)


@dataclass
class Outcome:
    """How a command ended.

    Attributes:
        status: Its exit status, negative for a signal.
        out: What it printed.
        err: What it said on stderr.
        seconds: How long it took.
    """

    status: int
    out: str
    err: str
    seconds: float = 0.0

    @property
    def is_one_line(self) -> bool:
        """Whether it refused as it should: status 2, and the last line ours, with no traceback."""
        said = [line for line in self.err.splitlines() if line.strip()]
        return self.status == 2 and "Traceback" not in self.err and len(said) >= 1 and said[-1].startswith("vitvis: ")


def start(argv: Sequence[str], out: Path | None, log: Path) -> int:
    """Fork a child that runs a command; return its process. It leads a group of its own."""
    words = [argv[0], *([f"out={out}"] if out is not None else []), *argv[1:]]
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    status = 70
    try:
        os.setpgid(0, 0)
        with open(log, "wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        sys.stdout, sys.stderr = (io.TextIOWrapper(open(number, "wb", closefd=False)) for number in (1, 2))
        sys.argv = ["vitvis", *words]
        from vitvis.cli import main

        status = main(words)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)


def finish(pid: int, log: Path, limit: float = 600.0) -> Outcome:
    """Wait for a child; one that takes too long is killed, with status -9."""
    began = time.monotonic()
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        if time.monotonic() - began > limit:
            os.killpg(pid, signal.SIGKILL)
        time.sleep(0.01)
    code = os.waitstatus_to_exitcode(status)
    text = log.read_text(errors="replace")
    return Outcome(code, text, text, time.monotonic() - began)


def run(argv: Sequence[str], out: Path | None, log: Path) -> Outcome:
    """Run a command to its end."""
    return finish(start(argv, out, log), log)


def differences(one: Path, other: Path) -> list[str]:
    """Return what differs between two run folders, but for times: files, pictures, tables, arrays, texts."""
    found = [f"{name}: only in one of them" for name in sorted(_files(one) ^ _files(other))]
    for name in sorted(_files(one) & _files(other)):
        try:
            same = bool(DERIVED.search(name)) or _same(one / name, other / name)
        except Exception as error:
            same = False
            found.append(f"{name}: {error}")
        if not same:
            found.append(f"{name}: differs")
    return found


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def _same(one: Path, other: Path) -> bool:
    if one.suffix in (".png", ".jpg"):
        with Image.open(one) as first, Image.open(other) as second:
            return np.array_equal(np.asarray(first.convert("RGB")), np.asarray(second.convert("RGB")))
    if one.suffix == ".parquet":
        import pyarrow.parquet as pq

        first, second = ([_steady(row) for row in pq.ParquetFile(path).read().to_pylist()] for path in (one, other))
        return repr(first) == repr(second)
    if one.suffix == ".json":
        first, second = (_steady(json.loads(path.read_text())) for path in (one, other))
        return repr(first) == repr(second)
    if one.suffix == ".csv":
        from vitvis.runs import read_csv

        return [_steady(row) for row in read_csv(one)] == [_steady(row) for row in read_csv(other)]
    if one.suffix in (".yaml", ".md", ".fit"):
        first, second = (path.read_text().replace(str(path.parent), "OUT") for path in (one, other))
        return _without_paths(first) == _without_paths(second)
    return one.read_bytes() == other.read_bytes()


def _steady(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _steady(item) for key, item in value.items() if key not in VOLATILE}
    return [_steady(item) for item in value] if isinstance(value, list) else value


def _without_paths(text: str) -> str:
    return re.sub(r"(?m)^(out|.*command).*$", "", text)


@dataclass
class Table:
    """What was tried and what held, by rows.

    Attributes:
        rows: Tried and held by name.
        failures: A line for each that did not hold.
    """

    rows: dict[str, list[int]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def add(self, name: str, held: bool, why: str = "") -> None:
        """Count one attempt."""
        row = self.rows.setdefault(name, [0, 0])
        row[0] += 1
        row[1] += held
        if not held:
            self.failures.append(f"{name}: {why}")
            print(f"DID NOT HOLD  {name}: {why}", flush=True)

    def print(self) -> int:
        """Print the table; return the exit status of the script."""
        width = max([4, *map(len, self.rows)])
        print(f"\n{'':<{width}}  tried   held")
        for name, (tried, held) in self.rows.items():
            print(f"{name:<{width}}  {tried:>5}  {held:>5}")
        tried, held = (sum(row[place] for row in self.rows.values()) for place in (0, 1))
        print(f"{'all':<{width}}  {tried:>5}  {held:>5}", flush=True)
        return 0 if tried == held else 1


def arguments(default: int) -> tuple[list[str], int, int, Path]:
    """Return names, `count`, `seed` and the folder `work` from the command line of a script."""
    words = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
    names = [word for word in sys.argv[1:] if "=" not in word]
    work = Path(words.get("work", "/tmp/vitvis-torture")).resolve()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    return names, int(words.get("count", default)), int(words.get("seed", 0)), work


def moments(seed: int, name: str, count: int) -> Iterator[random.Random]:
    """Yield a source of chance for each attempt, the same for the same seed, name and number."""
    for number in range(count):
        yield random.Random(f"{seed} {name} {number}")
