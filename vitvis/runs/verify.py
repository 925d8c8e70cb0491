"""Verify run folders: is every file there, and is it what was written?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vitvis.errors import VitvisError
from vitvis.runs.files import TEMPORARY
from vitvis.runs.ledger import NAME as SUMS
from vitvis.runs.ledger import PARTS, Ledger
from vitvis.runs.lock import FolderLock
from vitvis.runs.manifest import NAME as MANIFEST
from vitvis.runs.manifest import read_manifest
from vitvis.runs.records import find_finished

__all__ = ["Verdict", "verify"]

#: What lies in a run folder and is no result of the run: an atlas and what it remembers, logs and curves of loggers.
_BESIDE = ("atlas", "map", "trials", "wandb", "tensorboard", "resume", "state", "partial")


@dataclass(frozen=True)
class Verdict:
    """What is wrong with one run folder.

    Attributes:
        path: The folder.
        files: How many files were looked at.
        problems: Lines such as `images/a/3_s0.png: lost`; none when all is well.
        command: The command that made it, and that makes lost files again.
    """

    path: Path
    files: int
    problems: list[str]
    command: str


def verify(folder: str | Path) -> list[Verdict]:
    """Compare a run folder, and the trials within a sweep's, with their ledgers.

    A file that no ledger knows is looked at for whether it can be read.

    Raises:
        VitvisError: the folder is no run, or its manifest can't be read.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    ledger, problems = Ledger(folder), []
    found = set(_files(folder))
    for relative in sorted(found | set(ledger.known)):
        if relative not in found and not (folder / relative).exists():
            problems.append(f"{relative}: lost")
        elif not ledger.is_whole(relative):
            problems.append(f"{relative}: " + ("damaged" if relative in ledger.known else "can't be read"))
    for loss in find_finished(folder)[1]:
        if not any(problem.startswith(f"{loss.relative}:") for problem in problems):
            problems.append(f"{loss.relative}: {loss.why.removeprefix(f'{folder / loss.relative}: ')}")
    verdicts = [Verdict(folder, len(found | set(ledger.known)), problems, str(manifest.get("command") or ""))]
    for trial in sorted(folder.glob("trials/*")) if manifest["kind"] == "sweep" else ():
        if not (trial / MANIFEST).is_file() and not trial.is_dir():
            continue
        try:
            verdicts += verify(trial)
        except VitvisError as error:
            verdicts.append(Verdict(trial, 0, [str(error)], ""))
    return verdicts


def _files(folder: Path) -> Iterator[str]:
    for root, folders, files in os.walk(folder):
        if Path(root) == folder:
            folders[:] = [name for name in folders if name not in _BESIDE and name != PARTS]
        folders[:] = [name for name in folders if not name.startswith(TEMPORARY[0])]
        for name in files:
            if name != SUMS and not name.startswith(FolderLock.NAME) and not name.endswith((TEMPORARY[1], ".lock")):
                yield (Path(root) / name).relative_to(folder).as_posix()
