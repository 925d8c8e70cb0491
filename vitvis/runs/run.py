"""The command `runs`: verify run folders, from a shell and from Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vitvis.config import Command, Layer, merge, ready
from vitvis.runs.settings import VerifySettings

if TYPE_CHECKING:
    from vitvis.runs.verify import Verdict

__all__ = ["COMMAND", "main", "run"]


def run(cfg: Layer = None, /, **settings: Any) -> list[Verdict]:
    """Verify run folders against the digests of their files.

    Args:
        cfg: Settings, a mapping of them, a list of `a.b=c`, or a YAML file.
        settings: Single settings laid over `cfg`: `vitvis.runs.run(folders=["out/fit"])`.

    Returns:
        What is wrong with each folder; the trials of a sweep follow it.

    Raises:
        VitvisError: a folder is no run.
    """
    from vitvis.runs.verify import verify

    asked = ready(merge(VerifySettings, cfg, settings))
    return [verdict for folder in asked.folders for verdict in verify(folder)]


def _act(settings: VerifySettings, options: Mapping[str, str]) -> int:
    verdicts = run(settings)
    for verdict in verdicts:
        for problem in verdict.problems:
            print(f"{verdict.path}/{problem}")
        if verdict.problems:
            advice = f"; run it again, which makes again what is missing: {verdict.command}" if verdict.command else ""
            print(
                f"{verdict.path}: {len(verdict.problems)} of {verdict.files} files are not as they were written{advice}"
            )
        else:
            print(f"{verdict.path}: {verdict.files} files, all as they were written")
    return 1 if any(verdict.problems for verdict in verdicts) else 0


COMMAND = Command(
    name="vitvis.runs",
    settings=VerifySettings,
    action=_act,
    summary="verify that run folders are whole",
    description="Compare every file of run folders with the digest that was noted when it was written, and name those "
    "that are lost or damaged. Changes nothing. Exit status 0: all is as it was written; 1: something is not.",
    examples=("python -m vitvis.runs out/fit-1 out/search-1",),
    words="folders",
)
main = COMMAND.main
