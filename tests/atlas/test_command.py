"""The command `python -m vitvis.atlas`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vitvis.atlas.__main__ import _with_folders, main
from vitvis.errors import run_main


def test_help_needs_no_torch() -> None:
    code = "import sys, vitvis.atlas; assert 'torch' not in sys.modules and 'PIL' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_plain_arguments_are_run_folders() -> None:
    assert _with_folders(["a", "out=x", "--tile", "64", "b c"]) == ["out=x", "--tile", "64", 'runs=["a", "b c"]']


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "give run folders"),
        (["nowhere"], "nowhere: no such folder"),
        (["tests"], "no run folder"),
        (["x", "titel=a"], "title"),
    ],
)
def test_mistakes_are_one_line(
    argv: list[str], message: str, capsys: pytest.CaptureFixture, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    assert run_main(main, argv) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
