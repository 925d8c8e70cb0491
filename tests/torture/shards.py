"""Shards on one folder, killed at random: merged, they are what one process makes.

    python -m tests.torture.shards [fit] [search] [start] [kills=30] [seed=0] [work=FOLDER]

`fit`: seven shards of one run, two at a time, each SIGKILLed at random moments until `kills` have met their mark, then
started once more. `search`: five, likewise, and the merged folder is compared bit for bit. `start`: eight shards of a
new folder started in the same moment. While they live, each partial file that goes away has to be its writer's own to
remove: another shard that starts, ends or is killed leaves it alone.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests.torture import runs
from vitvis.runs import read_records
from vitvis.runs.verify import verify

__all__ = ["main"]

ROWS = {"fit": 7, "search": 5}
#: Processes at a time.
SIDE_BY_SIDE = 2


def main() -> int:
    """Run the script; return its exit status."""
    names, _, seed, work = runs.arguments(1)
    words = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
    kills = int(words.get("kills", 30))
    runs.prepare(work)
    table = runs.Table()
    for name in names or [*ROWS, "start"]:
        kind = "fit" if name == "start" else name
        argv = list(runs.RUNS[kind](work))
        if kind == "fit":  # forty chunks of one image
            argv = [word for word in argv if not word.startswith(("units=", "chunk="))]
            argv += ["units=blocks.{0,1}.mlp:0-19", "chunk=1"]
        whole = work / f"{name}-whole"
        first = runs.run(argv, whole, work / "whole.log")
        if first.status:
            print(first.err)
            return 1
        out = work / f"{name}-shards"
        if name == "start":
            wrong = start_at_once(argv, out, 8, work)
        else:
            wrong = kill(argv, out, ROWS[name], kills, random.Random(f"{seed} {name}"), first.seconds, work)
        wrong += runs.differences(whole, out) + [text for verdict in verify(out) for text in verdict.problems]
        if kind == "fit":
            wrong += [] if len(read_records(out)) == 40 else ["records are missing or stand twice"]
        table.add(name, not wrong, "; ".join(wrong[:4]))
        shutil.rmtree(out, ignore_errors=True)
    return table.print()


def kill(
    argv: list[str], out: Path, shards: int, kills: int, chance: random.Random, seconds: float, work: Path
) -> list[str]:
    """Start shards again and again, two at a time, and kill them until enough have died; then let all end."""
    left, live, wrong = kills, {}, []
    queue = [index for _ in range(kills) for index in chance.sample(range(shards), shards)]
    partials = Partials(out)
    while left > 0 and (queue or live):
        while queue and len(live) < SIDE_BY_SIDE:
            index = queue.pop(0)
            if index in live:
                continue
            pid = runs.start([*argv, f"shard={index}/{shards}"], out, work / f"{index}.log")
            live[index] = (pid, time.monotonic() + chance.uniform(0.2, 1.0) * seconds / shards * SIDE_BY_SIDE)
        wrong += partials.look({pid for pid, _ in live.values()})
        for index, (pid, end) in list(live.items()):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                code = os.waitstatus_to_exitcode(status)
                if code not in (0, -signal.SIGKILL):
                    wrong.append(f"shard {index} ended with {code}: {(work / f'{index}.log').read_text()[-300:]}")
                left -= code == -signal.SIGKILL
                del live[index]
            elif time.monotonic() > end and left > 0:
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
                live[index] = (pid, float("inf"))
        time.sleep(0.005)
    for pid, _ in live.values():
        os.waitpid(pid, 0)
    print(f"{kills - left} kills over {shards} shards", flush=True)
    if left > 0:
        wrong.append(f"only {kills - left} kills met their mark: all was done before")
    for index in range(shards):
        last = runs.run([*argv, f"shard={index}/{shards}"], out, work / f"{index}.log")
        if last.status:
            wrong.append(last.err[-300:])
    return wrong


def start_at_once(argv: list[str], out: Path, shards: int, work: Path) -> list[str]:
    """Start all shards of a new folder in the same moment, and wait for them."""
    pids = [runs.start([*argv, f"shard={index}/{shards}"], out, work / f"{index}.log") for index in range(shards)]
    partials, wrong, live = Partials(out), [], dict(enumerate(pids))
    while live:
        wrong += partials.look(set(live.values()))
        for index, pid in list(live.items()):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                del live[index]
                if status:
                    wrong.append(f"shard {index}: {(work / f'{index}.log').read_text()[-300:]}")
        time.sleep(0.005)
    return wrong


class Partials:
    """Half-written files of dead shards, which nobody may remove while two shards are at work.

    Args:
        out: The run folder.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self._dead: set[Path] = set()
        self._working: set[int] = set()

    def look(self, live: set[int]) -> list[str]:
        """Return a line for each that has gone since the last look."""
        now: dict[Path, int] = {}
        for path in self.out.rglob(".*.partial"):
            with suppress(ValueError, IndexError):
                now[path] = int(path.name.split(".")[-2].split("-")[1])
        working = set()
        for path in self.out.glob(".lock.*-of-*.holder"):
            with suppress(OSError, ValueError, IndexError):
                working.add(int(path.read_text().split(" ")[1]))
        working &= live
        gone = self._dead - set(now) if len(working & self._working) > 1 else set()
        self._dead, self._working = {path for path, pid in now.items() if pid not in live}, working
        return [f"{path.name}: of a dead shard, removed while others work" for path in gone]


if __name__ == "__main__":
    sys.exit(main())
