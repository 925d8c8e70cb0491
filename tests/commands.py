"""Whether a command of the documentation would be understood, by the parser of the program itself."""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib
import importlib.util
import io
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from vitvis.backbones.backbone import Backbone
from vitvis.config import Command, require
from vitvis.errors import VitvisError

ROOT = Path(__file__).resolve().parents[1]

#: Options of SLURM's `srun` that the documentation uses; its parser can't be had as a library.
SRUN = {
    "--nodes",
    "--ntasks",
    "--ntasks-per-node",
    "--gpus-per-node",
    "--cpus-per-task",
    "--kill-on-bad-exit",
    "--label",
}


class Wrong(Exception):
    """What is wrong with a command."""


class Parsed(BaseException):
    """Ends a script that has read its arguments, before anything is done with them."""


def check(call: Sequence[str], monkeypatch: pytest.MonkeyPatch, written: Path) -> None:
    """Check one command.

    Args:
        call: Program and arguments.
        monkeypatch: Pytest's.
        written: A YAML file that stands for those which the reader writes, or other commands leave in `out/`.

    Raises:
        Wrong: and what is wrong.
    """
    program, rest = call[0], list(call[1:])
    known: dict[str, Callable[[list[str]], None]] = {
        "pip": _pip,
        "python": lambda words: _python(words, monkeypatch, written),
        "python3": lambda words: _python(words, monkeypatch, written),
        "sbatch": _nothing,
        "scancel": _nothing,
        "scontrol": _nothing,
        "srun": lambda words: _srun(words, monkeypatch, written),
        "torchrun": lambda words: _torchrun(words, monkeypatch, written),
        "uv": lambda words: _uv(words, monkeypatch, written),
        "pytest": lambda words: _python(["-m", "pytest", *words], monkeypatch, written),
        "vitvis": lambda words: _vitvis(words, monkeypatch, written),
        "git": _git,
        "wandb": _wandb,
    }
    if program not in known:
        raise Wrong(f"unknown program {program}")
    known[program](rest)


def _nothing(words: list[str]) -> None:
    """Take anything."""


def _python(words: list[str], monkeypatch: pytest.MonkeyPatch, written: Path) -> None:
    if words[:1] == ["-c"]:
        compile(words[1], "-c", "exec")
    elif words[:1] == ["-m"] and words[1].startswith("vitvis."):
        _entry_point(words[1], words[2:], monkeypatch, written)
    elif words[:2] == ["-m", "venv"]:
        if len(words) != 3:
            raise Wrong(f"python {' '.join(words)}")
    elif words[:2] == ["-m", "pytest"]:
        workers = argparse.ArgumentParser(exit_on_error=False)
        workers.add_argument("-n", type=int)
        workers.add_argument("--dist", choices=("load", "loadfile", "loadscope", "worksteal", "no"))
        try:
            rest = workers.parse_known_args(words[2:])[1]
        except argparse.ArgumentError as error:
            raise Wrong(f"pytest: {error}") from None
        for word in rest:
            if not word.startswith("-") and not (ROOT / word.partition("::")[0]).exists():
                raise Wrong(f"pytest {word}: no such file")
    elif words[:1] == ["-m"]:
        _script(ROOT / f"{words[1].replace('.', '/')}.py", words[2:], monkeypatch, written)
    elif words and words[0].endswith(".py"):
        _script(ROOT / words[0], words[1:], monkeypatch, written)
    else:
        raise Wrong(f"python {' '.join(words)}")


def _vitvis(words: list[str], monkeypatch: pytest.MonkeyPatch, written: Path) -> None:
    from vitvis.cli import COMMANDS

    if words[:1] in (["--help"], ["--version"]):
        return
    if not words or words[0] not in COMMANDS:
        raise Wrong(f"vitvis has no command {words[:1]}")
    _entry_point(f"vitvis.{words[0]}", words[1:], monkeypatch, written)


def _script(path: Path, words: list[str], monkeypatch: pytest.MonkeyPatch, written: Path) -> None:
    """Check a script of the repository, and its arguments where it reads them by settings or argparse."""
    if not path.is_file():
        raise Wrong(f"{path.relative_to(ROOT)}: no such file")
    text = path.read_text(encoding="utf-8")
    if not re.search(r"^COMMAND = |\.parse_args\(", text, re.MULTILINE):
        return
    monkeypatch.syspath_prepend(str(ROOT))
    specification = importlib.util.spec_from_file_location(f"documented_{path.stem}", path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    monkeypatch.setitem(sys.modules, module.__name__, module)  # dataclasses look their module up
    specification.loader.exec_module(module)
    if hasattr(module, "COMMAND"):
        _check_settings(_parse(module.COMMAND, words, monkeypatch, written))
    else:
        _arguments(module.main, words, monkeypatch)


def _arguments(main: Callable[[list[str]], Any], words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a script of argparse up to where it has read its arguments."""
    real = argparse.ArgumentParser.parse_args

    def stop(*args: Any, **kwargs: Any) -> Any:
        real(*args, **kwargs)
        raise Parsed

    said = io.StringIO()
    with monkeypatch.context() as patch, contextlib.redirect_stderr(said), contextlib.suppress(Parsed):
        patch.setattr(argparse.ArgumentParser, "parse_args", stop)
        try:
            main(words)
        except SystemExit as exit_:
            if exit_.code:
                raise Wrong(said.getvalue().strip()) from None


def _entry_point(name: str, words: list[str], monkeypatch: pytest.MonkeyPatch, written: Path) -> None:
    try:
        specification = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        specification = None
    if specification is None:
        raise Wrong(f"there is no module {name}")
    settings = _parse(importlib.import_module(name).COMMAND, words, monkeypatch, written)
    _check_settings(settings)
    if name == "vitvis.sweep" and settings is not None and settings.spec:
        from vitvis.sweep import read_spec
        from vitvis.sweep.check import check_settings

        check_settings(read_spec(ROOT / settings.spec), settings.overrides)


def _parse(command: Command, words: list[str], monkeypatch: pytest.MonkeyPatch, written: Path) -> Any:
    """Read settings as the command does; None where it only prints something."""
    if {"--help", "-h", "--print-config", "--version"} & set(words):
        return None
    with monkeypatch.context() as patch:
        patch.chdir(ROOT)
        patch.setattr("vitvis.fit.rebuild.read_png_text", _png_text)
        try:
            settings, _ = command.read(list(_stand_in(words, written)))
            return require(settings) if words else settings  # a bare name stands for the command
        except VitvisError as error:
            raise Wrong(str(error)) from None


def _png_text(path: Any) -> dict[str, str]:
    return {"settings": '{"units": ["blocks.4.mlp:17"], "seeds": [0]}'}


def _stand_in(words: Sequence[str], written: Path) -> Iterator[str]:
    """Replace config files that are not in the repository."""
    before = ""
    for word in words:
        missing = before == "--config" and not (ROOT / word).exists() and not word.startswith(("configs", "sweeps"))
        yield str(written) if missing else word
        before = word


def _check_settings(settings: Any) -> None:
    """Check what parsing alone can't: models are there, and have the units that are asked for."""
    for name in ("model", "models", "cnn", "look", "language"):
        value = getattr(settings, name, None)
        for model in value if isinstance(value, list) else [value] if value else []:
            _check_model(model)
    model, units = getattr(settings, "model", None), getattr(settings, "units", None)
    if not model or model.isupper() or not isinstance(units, list) or model.startswith("open_clip:"):
        return
    from vitvis.backbones import parse_units

    units = [unit for unit in units if not unit.lstrip("-").startswith(("text:", "image:")) and "@" not in unit]
    for unit in units:
        try:
            parse_units([unit], _sites(model))
        except VitvisError as error:
            raise Wrong(f"model={model}: {error}") from None


def _check_model(name: str) -> None:
    from vitvis.backbones.loading import check_name
    from vitvis.concepts.spaces import PIXELS, WORDNET

    if not name.isupper() and name not in (PIXELS, WORDNET):  # MODEL is for the reader to fill in
        try:
            check_name(name)
        except VitvisError as error:
            raise Wrong(str(error)) from None


@functools.cache
def _sites(model: str) -> Any:
    """Return the sites of a model that is built without memory for its weights."""
    import timm
    import torch

    import vitvis.bundled.models  # noqa: F401  # registers the bundled architectures

    with torch.device("meta"):
        base, _, channels = model.partition("+in_chans=")
        made = timm.create_model(base, in_chans=int(channels or 3))
    size, each = tuple(made.pretrained_cfg["input_size"][1:]), (0.5,) * int(channels or 3)
    return Backbone(made, name=model, weights="none", weights_id="0" * 12, mean=each, std=each, image_size=size).sites


def _pip(words: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    if words[:1] != ["install"]:
        raise Wrong(f"pip {words[:1]}")
    for word in words[1:]:
        name, _, extras = word.rstrip("]").partition("[")
        if word in ("-e", "-U", "--upgrade", "--quiet"):
            continue
        if name not in (".", "vitvis", "uv"):
            raise Wrong(f"pip install {word}: not this project")
        for extra in filter(None, extras.split(",")):
            if extra not in project["optional-dependencies"]:
                raise Wrong(f"pip install {word}: no extra {extra}")


def _uv(words: list[str], monkeypatch: pytest.MonkeyPatch, written: Path) -> None:
    if words[:1] != ["run"]:
        raise Wrong(f"uv {' '.join(words)}")
    words = words[1:]
    while words[:1] == ["--extra"]:
        _pip(["install", f"vitvis[{words[1]}]"])
        words = words[2:]
    check(words, monkeypatch, written)


def _git(words: list[str]) -> None:
    if words[:1] != ["clone"]:
        raise Wrong(f"git {' '.join(words)}")


def _wandb(words: list[str]) -> None:
    import click
    from wandb.cli.cli import cli

    context = click.Context(cli)
    command = cli.get_command(context, words[0]) if words else None
    if command is None:
        raise Wrong(f"wandb has no command {words[:1]}")
    while isinstance(command, click.Group) and len(words) > 1:
        inner = command.get_command(context, words[1])
        if inner is None:
            raise Wrong(f"wandb {words[0]} has no command {words[1]}")
        command, words = inner, words[1:]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)  # `wandb sweep FILE` wants the file to be there
        for parameter in command.params:
            if isinstance(parameter.type, click.Path):
                patch.setattr(parameter.type, "exists", False)  # folders that runs leave are not
        try:
            command.make_context(words[0], words[1:], parent=context, resilient_parsing=False)
        except click.ClickException as error:
            raise Wrong(f"wandb {words[0]}: {error.format_message()}") from None
    for word in words[1:]:
        if word.endswith((".yaml", ".yml")) and not (ROOT / word).is_file():
            raise Wrong(f"wandb {words[0]} {word}: no such file")


def _torchrun(words: list[str], monkeypatch: pytest.MonkeyPatch, written: Path) -> None:
    from torch.distributed.run import get_args_parser

    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        try:
            read = get_args_parser().parse_args(words)
        except SystemExit:
            raise Wrong(f"torchrun: {said.getvalue().strip().splitlines()[-1]}") from None
    if not read.module:
        raise Wrong("torchrun: -m is missing")
    _python(["-m", read.training_script, *read.training_script_args], monkeypatch, written)


def _srun(words: list[str], monkeypatch: pytest.MonkeyPatch, written: Path) -> None:
    while words and words[0].startswith("-"):
        option, equals, _ = words.pop(0).partition("=")
        if option not in SRUN:
            raise Wrong(f"srun {option}: an option that this test does not know")
        if not equals:
            words.pop(0)
    check(words, monkeypatch, written)
