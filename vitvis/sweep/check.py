"""Check a sweep file against the settings of `vitvis.fit`, before hours are spent on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from vitvis.config.core import merge
from vitvis.errors import VitvisError
from vitvis.fit.settings import FitSettings
from vitvis.sweep.command import assemble
from vitvis.sweep.parameters import Parameter
from vitvis.sweep.space import decode
from vitvis.sweep.spec import SweepSpec

__all__ = ["check_settings", "drives_fit", "extremes"]


def drives_fit(spec: SweepSpec) -> bool:
    """Say whether the file's command runs `vitvis.fit`."""
    words = [spec.program if word == "${program}" else word for word in spec.command]
    return any(word == "vitvis.fit" or word.replace("\\", "/").endswith("vitvis/fit/__main__.py") for word in words)


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
