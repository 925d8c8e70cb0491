"""Damage files of run folders, one at a time, and see what the commands that write or read them make of it.

    python -m tests.torture.damage [fit] [search] [evaluate] [sweep] [count=100] [seed=0] [work=FOLDER]

A file is cut to its half, zeroed, filled with chance, has two bytes flipped, holds another file of its kind, holds
`null`, is empty, or is gone. Then one of three things is done: the same command again, which has to end with the files
of an undisturbed run, or refuse in one line; an atlas of the folder, which has to be written, or be refused in one
line; for sweeps, a report.
"""

from __future__ import annotations

import random
import shutil
import sys
from pathlib import Path

from tests.torture import runs
from vitvis.runs.verify import verify

__all__ = ["DAMAGES", "damage", "main"]

DAMAGES = ("half", "zeros", "chance", "two bytes", "another file", "null", "empty", "gone")


def damage(path: Path, how: str, chance: random.Random) -> None:
    """Damage one file."""
    data = bytearray(path.read_bytes())
    others = [
        other for other in path.parent.iterdir() if other.suffix == path.suffix and other != path and other.is_file()
    ]
    if how == "half":
        data = data[: len(data) // 2]
    elif how == "zeros":
        data = bytearray(len(data))
    elif how == "chance":
        data = bytearray(chance.randbytes(len(data)))
    elif how == "two bytes" and data:
        for _ in range(2):
            data[chance.randrange(len(data))] ^= chance.randrange(1, 256)
    elif how == "another file":
        data = bytearray(chance.choice(others).read_bytes() if others else b"another file\n")
    elif how == "null":
        data = bytearray(b"null")
    elif how == "empty":
        data = bytearray()
    path.unlink()
    if how != "gone":
        path.write_bytes(data)


def main() -> int:
    """Run the script; return its exit status."""
    names, count, seed, work = runs.arguments(100)
    runs.prepare(work)
    table = runs.Table()
    for name in names or runs.RUNS:
        argv = runs.RUNS[name](work)
        whole, out, log = work / f"{name}-whole", work / f"{name}-damaged", work / f"{name}.log"
        first = runs.run(argv, whole, log)
        if first.status != 0:
            print(first.err)
            return 1
        files = sorted(
            path.relative_to(whole) for path in whole.rglob("*") if path.is_file() and "atlas" not in path.parts
        )
        kinds = sorted({_kind(path) for path in files})
        for number, chance in enumerate(runs.moments(seed, name, count)):
            kind = kinds[number % len(kinds)]  # every kind of file gets its turn
            relative = chance.choice([path for path in files if _kind(path) == kind])
            how = chance.choice(DAMAGES)
            what = f"{relative}, {how}"
            shutil.rmtree(out, ignore_errors=True)
            shutil.copytree(whole, out)
            damage(out / relative, how, chance)
            if number % 3 == 2:  # a reader
                report = name == "sweep" and chance.random() < 0.5
                words = ["sweep", "--report", str(out)] if report else ["atlas", str(out)]
                site = work / f"{name}-site"
                shutil.rmtree(site, ignore_errors=True)
                read = runs.run(words, site, log)
                table.add(f"{name}, read", read.status == 0 or read.is_one_line, f"{what}: {read.err[-500:]}")
                continue
            again = runs.run(argv, out, log)
            if again.status != 0:
                table.add(f"{name}, run again", again.is_one_line, f"{what}: {again.err[-500:]}")
                continue
            wrong = runs.differences(whole, out)
            if relative.name == "metrics.csv" and "metrics.csv: is damaged" in again.err:
                wrong = [
                    problem for problem in wrong if "metrics.csv" not in problem
                ]  # curves are named, not made again
            wrong += [problem for verdict in verify(out) for problem in verdict.problems]
            table.add(f"{name}, run again", not wrong, f"{what}: {'; '.join(wrong[:4])}")
    return table.print()


def _kind(path: Path) -> str:
    return f"{path.parts[0] if len(path.parts) > 1 else path.name}{path.suffix}"


if __name__ == "__main__":
    sys.exit(main())
