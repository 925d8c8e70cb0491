"""One parameter of a sweep file: its distribution, and what it needs.

The names and their meaning are W&B's (docs.wandb.ai, "Sweep configuration options"); a parameter that names no
distribution gets the one W&B infers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vitvis.errors import VitvisError, nearest, sentence

__all__ = ["DISTRIBUTIONS", "Parameter", "read_parameters"]

#: Which keys each distribution needs, and which it may have with their defaults.
DISTRIBUTIONS: dict[str, tuple[tuple[str, ...], dict[str, float]]] = {
    "constant": (("value",), {}),
    "categorical": (("values",), {}),
    "categorical_w_probabilities": (("values", "probabilities"), {}),
    "int_uniform": (("min", "max"), {}),
    "uniform": (("min", "max"), {}),
    "q_uniform": (("min", "max"), {"q": 1.0}),
    "log_uniform": (("min", "max"), {}),
    "q_log_uniform": (("min", "max"), {"q": 1.0}),
    "inv_log_uniform": (("min", "max"), {}),
    "log_uniform_values": (("min", "max"), {}),
    "q_log_uniform_values": (("min", "max"), {"q": 1.0}),
    "inv_log_uniform_values": (("min", "max"), {}),
    "normal": ((), {"mu": 0.0, "sigma": 1.0}),
    "q_normal": ((), {"mu": 0.0, "sigma": 1.0, "q": 1.0}),
    "log_normal": ((), {"mu": 0.0, "sigma": 1.0}),
    "q_log_normal": ((), {"mu": 0.0, "sigma": 1.0, "q": 1.0}),
    "beta": ((), {"a": 1.0, "b": 1.0}),
    "q_beta": ((), {"a": 1.0, "b": 1.0, "q": 1.0}),
}


@dataclass(frozen=True)
class Parameter:
    """One setting that a sweep varies or holds.

    Attributes:
        path: Where the value goes: one name, or several where the file nests `parameters:`. W&B hands a nested
            group over as one mapping.
        distribution: A key of `DISTRIBUTIONS`.
        options: What the distribution takes: `values`, `min`, `max`, `q`, `mu`, `sigma`, ...
    """

    path: tuple[str, ...]
    distribution: str
    options: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The dotted name of the setting."""
        return ".".join(self.path)

    @property
    def varies(self) -> bool:
        """Whether two trials can differ in it."""
        return not (self.distribution == "constant" or len(self.options.get("values", "ab")) == 1)

    @property
    def constant(self) -> Any:
        """The value of a parameter that does not vary."""
        return self.options["value"] if "value" in self.options else self.options["values"][0]


def read_parameters(block: Any, where: str, prefix: tuple[str, ...] = ()) -> list[Parameter]:
    """Return the parameters of a `parameters:` block, in the order of the file.

    Args:
        block: What YAML made of it.
        where: The file, for errors.
        prefix: Names of the groups around it.

    Raises:
        VitvisError: names the parameter and what is wrong with it.
    """
    if not isinstance(block, Mapping) or not block:
        raise VitvisError(f"{where}: parameters holds no parameter")
    found: list[Parameter] = []
    for key, item in block.items():
        path = (*prefix, str(key))
        name = ".".join(path)
        if not isinstance(item, Mapping):
            raise VitvisError(f"{where}: {name}: write 'value: {item}' for a constant, or 'values: [...]'")
        if "parameters" in item:
            if len(item) > 1:
                raise VitvisError(
                    f"{where}: {name}: a group of parameters can't have {_others(item, 'parameters')} too"
                )
            found += read_parameters(item["parameters"], where, path)
        else:
            found.append(_read_parameter(path, item, f"{where}: {name}"))
    return found


def _read_parameter(path: tuple[str, ...], item: Mapping[str, Any], where: str) -> Parameter:
    distribution = item.get("distribution") or _infer(item, where)
    if distribution not in DISTRIBUTIONS:
        raise VitvisError(f"{where}: no distribution '{distribution}'{nearest(distribution, DISTRIBUTIONS)}")
    needed, optional = DISTRIBUTIONS[distribution]
    options = {key: value for key, value in item.items() if key != "distribution"}
    for key in needed:
        if key not in options:
            raise VitvisError(f"{where}: {distribution} needs '{key}'")
    for key in options:
        if key not in (*needed, *optional):
            allowed = (*needed, *optional)
            raise VitvisError(f"{where}: {distribution} has no '{key}'{nearest(key, allowed)} ({', '.join(allowed)})")
    options = {**optional, **options}
    _check_numbers(distribution, options, where)
    return Parameter(path, distribution, options)


def _infer(item: Mapping[str, Any], where: str) -> str:
    if "value" in item:
        return "constant"
    if "values" in item:
        return "categorical_w_probabilities" if "probabilities" in item else "categorical"
    if "min" in item and "max" in item:
        whole = all(isinstance(item[key], int) and not isinstance(item[key], bool) for key in ("min", "max"))
        return "int_uniform" if whole else "uniform"
    raise VitvisError(f"{where}: needs value, values, or min and max")


def _check_numbers(distribution: str, options: Mapping[str, Any], where: str) -> None:
    values, probabilities = options.get("values"), options.get("probabilities")
    if "values" in options and (not isinstance(values, list) or not values):
        raise VitvisError(f"{where}: values has to be a list that is not empty")
    for value in values or ():
        if isinstance(value, float) and not math.isfinite(value):
            raise VitvisError(f"{where}: {value} is not a finite number")
    if probabilities is not None:
        if not isinstance(probabilities, list) or not all(_is_number(p) and p >= 0 for p in probabilities):
            raise VitvisError(f"{where}: probabilities have to be numbers that are not negative")
        if len(probabilities) != len(values or ()):
            raise VitvisError(f"{where}: {len(values or ())} values but {len(probabilities)} probabilities")
        if abs(sum(probabilities) - 1) > 1e-6:
            raise VitvisError(f"{where}: probabilities add up to {sum(probabilities):g}, not to 1")
    for key in ("min", "max", "q", "mu", "sigma", "a", "b"):
        value = options.get(key)
        if value is not None and not _is_number(value):
            hint = "; write 1.0e-3, YAML reads 1e-3 as a text" if isinstance(value, str) and "e" in value else ""
            raise VitvisError(f"{where}: {key}={sentence(repr(value), 40)} is not a finite number{hint}")
    if distribution.startswith(("log_uniform", "q_log_uniform", "inv_log_uniform")) and "values" not in distribution:
        if max(abs(options["min"]), abs(options["max"])) > 600:
            raise VitvisError(f"{where}: min and max of {distribution} are exponents of e, at most 600")
    if "min" in options and not options["min"] < options["max"]:
        raise VitvisError(f"{where}: min {options['min']} is not below max {options['max']}")
    if distribution.endswith("log_uniform_values") and options["min"] <= 0:
        raise VitvisError(f"{where}: {distribution} needs a min above 0, not {options['min']}")
    if distribution == "int_uniform" and not all(isinstance(options[key], int) for key in ("min", "max")):
        raise VitvisError(f"{where}: int_uniform needs whole numbers as min and max")
    if options.get("q", 1) <= 0 or options.get("sigma", 1) <= 0 or min(options.get("a", 1), options.get("b", 1)) <= 0:
        raise VitvisError(f"{where}: q, sigma, a and b have to be above 0")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _others(item: Mapping[str, Any], key: str) -> str:
    return ", ".join(f"'{name}'" for name in item if name != key)
