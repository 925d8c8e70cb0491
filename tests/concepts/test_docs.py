"""Every command that docs/concepts.md and docs/evaluate.md show is read by the real parser."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from vitvis.cli import find_command

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = [
    line.strip()
    for page in ("concepts.md", "evaluate.md")
    for line in (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines()
    if line.strip().startswith("python -m vitvis.")
]


@pytest.mark.parametrize("line", COMMANDS)
def test_command_is_read(line: str) -> None:
    words = shlex.split(line)
    settings = find_command(words[2].removeprefix("vitvis.")).read(words[3:])[0]
    for word in words[3:]:
        key, _, value = word.partition("=")
        if (
            key in ("model", "weights", "data", "out", "vocabulary", "fit", "language")
            and words[2] != "vitvis.evaluate"
        ):
            assert getattr(settings, key) == value


def test_pages_show_commands() -> None:
    assert len(COMMANDS) >= 12
