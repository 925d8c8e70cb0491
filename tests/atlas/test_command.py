"""The command `python -m vitvis.atlas`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vitvis.atlas import COMMAND, main
from vitvis.errors import run_main


def test_help_needs_no_torch() -> None:
    code = "import sys, vitvis.atlas; assert 'torch' not in sys.modules and 'PIL' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_plain_arguments_are_run_folders() -> None:
    settings, _ = COMMAND.read(["a", "out=x", "--tile", "64", "b c"])
    assert (settings.runs, settings.out, settings.tile) == (["a", "b c"], "x", 64)


def test_folders_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that reads like a setting, a list or a text in quotes is still the name of a folder that is there."""
    monkeypatch.chdir(tmp_path)
    names = ["a=b", 'q"q', "'q'", "[x,y]", "none", "1e-3"]  # `~` is home, as everywhere
    for name in names:
        Path(name).mkdir()
    assert COMMAND.read([*names, "out=x"])[0].runs == names
    assert COMMAND.read(["out=x", "--", "-a", "title=b"])[0].runs == ["-a", "title=b"]


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
