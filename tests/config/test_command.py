"""Every command is one object: module, function, `vitvis NAME` and `--help` agree, and none of them needs torch."""

from __future__ import annotations

import dataclasses
import importlib
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import vitvis.errors
from vitvis.cli import COMMANDS, find_command
from vitvis.cli import main as console
from vitvis.config import merge

ROOMS = [name for name in COMMANDS if "." not in name]


@pytest.mark.parametrize("name", COMMANDS)
def test_usage_names_a_program_that_there_is(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = find_command(name)
    assert command.program == f"python -m vitvis.{name}"
    assert importlib.util.find_spec(command.name) is not None
    assert console([name, "--help"]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith(f"usage: python -m vitvis.{name} ") and first == f"usage: {command.usage}"


def test_commands_and_their_functions_come_without_torch() -> None:
    """Also after the submodule `run` was imported by its own name, which would hide the function in the package."""
    code = "import importlib, sys, vitvis, vitvis.cli\n"
    code += f"for name in {ROOMS}:\n"
    code += "    importlib.import_module(f'vitvis.{name}.run')\n"
    code += "    room = getattr(vitvis, name)\n"
    code += "    assert callable(room.run) and room.COMMAND.name == f'vitvis.{name}', name\n"
    code += "vitvis.cli.main(['--help'])\n"
    code += "assert not {'torch', 'timm', 'matplotlib', 'PIL'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_main_module_does_nothing_else(name: str, root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"vitvis.{name}", "no-such-setting=1"], capture_output=True, text=True, cwd=root
    )
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "no-such-setting" in done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_printed_as_config_is_what_is_read(name: str, tmp_path: Path, capsys) -> None:
    command = find_command(name)
    assert command.main(["--print-config"]) == 0
    (tmp_path / "a.yaml").write_text(capsys.readouterr().out)
    assert command.read(["--config", str(tmp_path / "a.yaml")])[0] == merge(command.settings)


def test_a_warning_of_ours_is_a_line_without_its_code(tmp_path: Path) -> None:
    before, told = warnings.formatwarning, []

    def warn(settings: object, options: object) -> None:
        own = vitvis.errors.__file__
        told.extend(warnings.formatwarning(UserWarning("random"), UserWarning, file, 3) for file in (own, "/a/b.py"))

    assert dataclasses.replace(find_command("runs"), action=warn).main([str(tmp_path)]) == 0
    assert told[0] == "vitvis: random\n" and told[1].startswith("/a/b.py:3: UserWarning: random")
    assert warnings.formatwarning is before
