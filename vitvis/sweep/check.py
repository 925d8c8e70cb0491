"""Check a sweep file against the settings of `vitvis.fit`, before hours are spent on it."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vitvis.config.core import merge, to_container
from vitvis.errors import VitvisError, nearest
from vitvis.fit.settings import FitSettings
from vitvis.runs import read_config
from vitvis.sweep.command import assemble
from vitvis.sweep.parameters import Parameter
from vitvis.sweep.space import decode
from vitvis.sweep.spec import SweepSpec

__all__ = ["check_command", "check_settings", "check_trial", "drives_fit", "extremes"]


def drives_fit(spec: SweepSpec) -> bool:
    """Say whether the file's command runs `vitvis.fit`."""
    words = [spec.program if word == "${program}" else word for word in spec.command]
    return any(word == "vitvis.fit" or word.replace("\\", "/").endswith("vitvis/fit/__main__.py") for word in words)


def check_command(spec: SweepSpec) -> None:
    """Check that what the file's command starts is there.

    Raises:
        VitvisError: no such program; names the nearest.
    """
    words = [word for word in spec.command if word != "${env}"]
    first = spec.program if words[:1] == ["${program}"] else words[0] if words else ""
    if not first.startswith("${") and shutil.which(first) is None:
        raise VitvisError(f"{spec.path}: command: there is no program '{first}' to start")
    place = words.index("${program}") if "${program}" in words else 0
    script = Path(spec.program)
    if place and words[place - 1] != "-m" and not script.exists():
        siblings = [str(item) for item in script.parent.glob("*.py")]
        raise VitvisError(f"{spec.path}: program: no such file: {script}{nearest(str(script), siblings)}")


def check_settings(spec: SweepSpec, overrides: Sequence[str] = ()) -> None:
    """Check that each parameter is a setting of `vitvis.fit` which takes each value and both bounds.

    Args:
        spec: The sweep file.
        overrides: Settings laid over every trial, checked too.

    Raises:
        VitvisError: names the file, the parameter, and what is wrong.
    """
    for parameter in spec.parameters:
        for value in extremes(parameter):
            arguments = assemble({parameter.name: value}, [parameter])
            words = [f"{name}={text}" for name, text in arguments.items()]  # through str(), as an agent sends it
            try:
                merge(FitSettings, words)
            except VitvisError as error:
                raise VitvisError(f"{spec.path}: {parameter.name}: {error}") from None
    merge(FitSettings, overrides)
    varied = [parameter.name for parameter in spec.varied]
    for override in overrides:
        name = override.lstrip("-+").partition("=")[0]
        for other in varied:
            if name == other or other.startswith(f"{name}."):
                raise VitvisError(f"{override}: {spec.path} varies {other}, and all trials would be the same")


def check_trial(spec: SweepSpec, values: Mapping[str, Any], folder: Path, overrides: Sequence[str] = ()) -> None:
    """Check that a run was made with the settings of its trial: what a run says of itself is in its `config.yaml`.

    A command that hands the values on by a misspelt name, or not at all, would else end in a table of equal rows.

    Args:
        spec: The sweep file.
        values: Value of each parameter by dotted name.
        folder: The trial's run folder.
        overrides: Settings laid over every trial, which win.

    Raises:
        VitvisError: names the first setting that is otherwise, or can't be read.
    """
    if not (folder / "config.yaml").is_file() and not drives_fit(spec):
        return  # another program, which keeps its settings elsewhere
    config = read_config(folder)
    laid_over = {override.lstrip("-+").partition("=")[0] for override in overrides}
    for parameter in spec.parameters:
        if any(parameter.name == name or parameter.name.startswith(f"{name}.") for name in laid_over):
            continue
        value = expected = values[parameter.name]
        if drives_fit(spec):
            words = [f"{name}={text}" for name, text in assemble(values, [parameter]).items()]
            expected = _lookup(to_container(merge(FitSettings, words)), parameter.path)
        found = _lookup(config, parameter.path)
        if not _agree(expected, found, value):
            raise VitvisError(
                f"{folder / 'config.yaml'}: {parameter.name} is {found!r}, and not {value!r}, which the sweep set; "
                "does the command hand on the values (${args} or another of its macros)?"
            )


def _lookup(content: Any, path: Sequence[str]) -> Any:
    for name in (part for word in path for part in word.split(".")):
        content = content.get(name) if isinstance(content, Mapping) else None
    return content


def _agree(expected: Any, found: Any, value: Any) -> bool:
    """Say whether a run's setting is the expected one, where `value` is what the sweep file has."""
    if isinstance(expected, Mapping):
        if not isinstance(found, Mapping):
            return False
        if isinstance(value, str):  # a word for a group is its kind
            return found.get("kind") == expected.get("kind")
        keys = value if isinstance(value, Mapping) else ()
        return all(_agree(expected.get(key), found.get(key), value[key]) for key in keys)
    if isinstance(expected, int | float) and isinstance(found, int | float):
        return math.isclose(expected, found, rel_tol=1e-9)
    return expected == found or str(expected) == str(found)


def extremes(parameter: Parameter) -> Iterator[Any]:
    """Yield every listed value of a parameter, or the values at its bounds (at the 0.1 % quantiles of open ones)."""
    if not parameter.varies:
        yield parameter.constant
    elif "values" in parameter.options:
        yield from parameter.options["values"]
    elif "min" in parameter.options:
        raw = (parameter.options["min"], parameter.options["max"])
        yield from (decode(parameter, draw) for draw in raw)
    else:
        yield from (decode(parameter, quantile) for quantile in (0.001, 0.999))
