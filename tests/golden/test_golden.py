"""What must not change when code moves: pictures, tables and files of small runs, against numbers in `golden.json`.

A change here that is meant (another default recipe, a new file of the atlas) is made with
`python -m tests.golden.regenerate`; look at the difference before it is committed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.golden.regenerate import GOLDEN, rounded
from tests.golden.runs import FACTS, deviations
from tests.golden.tolerances import allowed

SLOW = pytest.mark.slow  # it starts processes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all: the atlas takes up the runs that are there."""
    return tmp_path_factory.mktemp("golden")


@pytest.mark.parametrize("name", [pytest.param(name, marks=SLOW if name == "sweep" else ()) for name in FACTS])
def test_what_was_made_before_is_made_again(name: str, folder: Path) -> None:
    expected = json.loads(GOLDEN.read_text())[name]
    wrong = [
        f"{' / '.join(path)}: {before} before, {now} now"
        for path, before, now in deviations(expected, rounded(FACTS[name](folder)), (name,))
        if not _close(path, before, now)
    ]
    assert not wrong, "\n".join([*wrong[:20], "meant? python -m tests.golden.regenerate (see CONTRIBUTING.md)"])


def _close(path: tuple[str, ...], before: Any, now: Any) -> bool:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (before, now))
    return numbers and abs(before - now) <= allowed(path, before)
