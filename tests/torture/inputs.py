"""Give commands what nobody should: numbers without end, words for numbers, text without end, paths that are none.

    python -m tests.torture.inputs [fit] [search] [evaluate] [sweep] [atlas] ... [count=300] [seed=0] [work=FOLDER]

Two parts. Every number of every command is given infinities, NaN, words, lists and digits without end: the settings
have to refuse each in one line, before anything is loaded. And whole command lines that people wrote, or could: each
has to end with status 2, one line, and nothing written.
"""

from __future__ import annotations

import random
import sys
import types
import typing
from dataclasses import Field
from pathlib import Path
from typing import Any

import yaml

from tests.torture import runs
from vitvis.cli import COMMANDS, find_command
from vitvis.config import ready
from vitvis.config.core import iterate_settings
from vitvis.errors import VitvisError

__all__ = ["LINES", "NUMBERS", "main", "numbers_of"]

#: None of these is a number that any setting takes.
NUMBERS = (
    "inf",
    "-inf",
    "nan",
    "1e999",
    "word",
    "[]",
    "{}",
    "[1,[2]]",
    "9" * 30,
    "-" + "9" * 30,
    "1" * 5000,
    "0x",
    "1,2",
)
#: Command lines by command; WORK stands for a folder with what `_write_files` leaves there.
LINES: dict[str, list[str]] = yaml.safe_load(Path(__file__).with_name("lines.yaml").read_text())
_SWEEP = "program: {program}\nmethod: {method}\nrun_cap: 2\nparameters:\n  a: {parameter}\n{more}"


def numbers_of(name: str) -> list[tuple[str, Field]]:
    """Return the settings of a command that are numbers, or lists of them."""
    found = []
    for setting, item, hint in iterate_settings(find_command(name).settings):
        kinds = _kinds(hint)
        if kinds and kinds <= {int, float, type(None)}:
            found.append((setting, item))
    return found


def _kinds(hint: Any) -> set[Any]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return set().union(*(_kinds(part) for part in typing.get_args(hint)))
    return {hint}


def main() -> int:
    """Run the script; return its exit status."""
    names, count, seed, work = runs.arguments(300)
    runs.prepare(work)
    _write_files(work)
    table = runs.Table()
    for name in [name for name in names or COMMANDS if name in COMMANDS]:
        tries = [(setting, text) for setting, _ in numbers_of(name) for text in NUMBERS]
        for setting, text in random.Random(seed).sample(tries, min(count, len(tries))):
            held, why = _refused(name, f"{setting}={text}")
            table.add(f"{name}, numbers", held, f"{setting}={text[:40]}: {why}")
        for line in LINES.get(name, []):
            words = [name, *(word.replace("WORK", str(work)) for word in line.split(" ") if word)]
            before = _files(work)
            done = runs.run(
                words, None if "out=" in line or name in ("runs", "sites") else work / "never", work / "log.txt"
            )
            wrote = _files(work) - before - {"log.txt"}
            said = len([text for text in done.err.splitlines() if text.strip()])
            held = done.is_one_line and said == 1 and not wrote
            table.add(
                f"{name}, lines",
                held,
                f"{line[:90]}: status {done.status}, wrote {sorted(wrote)[:3]}, {done.err[-300:]}",
            )
    return table.print()


def _refused(name: str, word: str) -> tuple[bool, str]:
    try:
        ready(find_command(name).read([word])[0])
    except VitvisError as error:
        return len(str(error)) < 1000, str(error)[:200]
    except BaseException as error:
        return False, f"{type(error).__name__}: {error}"[:200]
    return False, "was taken"


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def _write_files(work: Path) -> None:
    (work / "empty").mkdir()
    (work / "photos").symlink_to(work / "classes")
    (work / "file").write_text("no run, no picture, no table\n")
    (work / "deep.yaml").write_text("[" * 3000)
    names = "abcdefgh"
    laughs = "".join(f"{two}: &{two} [*{one}, *{one}, *{one}]\n" for one, two in zip(names, names[1:], strict=False))
    (work / "laughs.yaml").write_text("a: &a [x, x]\n" + laughs)
    specs = {
        "macro": ("random", "{values: [1, 2]}", "command: [python, '${args_no_hyphen}']\n"),
        "early": ("random", "{values: [1, 2]}", "early_terminate: {type: hyperband, min_iter: two}\n"),
        "infinite": ("random", "{min: 0.0, max: .inf}", ""),
        "endless": ("grid", "{min: 0, max: 999999999999}", ""),
        "command": ("random", "{values: [1, 2]}", "command:\n"),
        "words": ("random", "{values: [1, 2]}", "command: [3, 4]\n"),
        "unclosed": ("random", "{values: [1, 2]}", "command: [python, '${args']\n"),
        "absent": ("random", "{values: [1, 2]}", ""),
        "null": ("random", "{values: null}", ""),
        "metric": ("random", "{values: [1, 2]}", "metric: {name: 3, goal: maximize}\n"),
    }
    (work / "p.py").touch()
    for name, (method, parameter, more) in specs.items():
        program = work / ("none.py" if name == "absent" else "p.py")
        text = _SWEEP.format(program=program, method=method, parameter=parameter, more=more)
        (work / f"{name}.yaml").write_text(text.replace("run_cap: 2\n", "") if name == "endless" else text)
    from vitvis.runs import RunFolder

    with RunFolder.open(work / "run", kind="search", settings={}, identity={}) as folder:
        folder.write_shard("0", [{"address": "a:0", "site": "a"}])


if __name__ == "__main__":
    sys.exit(main())
