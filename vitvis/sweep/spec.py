"""A sweep file: the YAML that `wandb sweep` takes, read and checked without W&B."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vitvis.errors import VitvisError, nearest, sentence
from vitvis.sweep.command import check_macro
from vitvis.sweep.parameters import Parameter, read_parameters

__all__ = ["EarlyTerminate", "Metric", "SweepSpec", "read_spec"]

METHODS = ("grid", "random", "bayes")
_KEYS = (
    "name",
    "description",
    "program",
    "method",
    "metric",
    "parameters",
    "command",
    "run_cap",
    "early_terminate",
    "project",
    "entity",
    "apiVersion",
    "kind",
    "controller",
)
_DEFAULT_COMMAND = ("${env}", "${interpreter}", "${program}", "${args}")
_METRIC_KEYS = ("name", "goal", "target", "impute", "impute_while_running")
_EARLY_NUMBERS = ("min_iter", "max_iter", "s", "eta")
_EARLY_KEYS = ("type", "min_iter", "max_iter", "s", "eta", "strict")


@dataclass(frozen=True)
class Metric:
    """What a sweep optimises: a key of a run's `summary.json` (`summary/score`) or a column of its `metrics.csv`."""

    name: str = "summary/score"
    goal: str = "maximize"
    target: float | None = None

    def better(self, a: float, b: float) -> bool:
        """Say whether `a` is better than `b`."""
        return a > b if self.goal == "maximize" else a < b


@dataclass(frozen=True)
class EarlyTerminate:
    """W&B's hyperband: at every band (`min_iter * eta^n` values of the metric) only the best 1/eta runs go on.

    Attributes:
        min_iter: Values of the metric before the first band. A file with `max_iter` and `s` means
            `max_iter / eta^s`.
        eta: The share that goes on is 1/eta.
    """

    min_iter: int
    eta: float


@dataclass(frozen=True)
class SweepSpec:
    """A sweep file, checked.

    Attributes:
        path: The file.
        name: Its `name`, or the file's own.
        method: `grid`, `random` or `bayes`.
        parameters: In the order of the file, constants too.
        command: With W&B's macros.
        program: What `${program}` stands for.
        run_cap: Most trials, or None.
    """

    path: Path
    name: str
    method: str
    parameters: tuple[Parameter, ...]
    metric: Metric = field(default_factory=Metric)
    command: tuple[str, ...] = _DEFAULT_COMMAND
    program: str = ""
    description: str = ""
    run_cap: int | None = None
    early_terminate: EarlyTerminate | None = None

    @property
    def varied(self) -> tuple[Parameter, ...]:
        """The parameters in which trials differ."""
        return tuple(parameter for parameter in self.parameters if parameter.varies)

    def identity(self) -> dict[str, Any]:
        """What has to stay the same when a sweep goes on; a higher `run_cap` is no other sweep."""
        return {
            "method": self.method,
            "metric": {"name": self.metric.name, "goal": self.metric.goal},
            "command": list(self.command),
            "parameters": {
                parameter.name: {"distribution": parameter.distribution, **parameter.options}
                for parameter in self.parameters
            },
        }


def read_spec(path: str | Path) -> SweepSpec:
    """Read a sweep file.

    Raises:
        VitvisError: the file can't be read, or W&B or vitvis could not run it; names the place.
    """
    path = Path(path)
    content = _load(path)
    where = str(path)
    for key in content:
        if key not in _KEYS:
            raise VitvisError(f"{where}: unknown key '{key}'{nearest(key, _KEYS)}")
    method = content.get("method")
    if method not in METHODS:
        raise VitvisError(f"{where}: method is {method!r}; it has to be one of {', '.join(METHODS)}")
    parameters = tuple(read_parameters(content.get("parameters"), where))
    _check_names(parameters, where)
    if method == "grid":
        _check_grid(parameters, where)
    metric = _read_metric(content.get("metric"), where)
    if metric is None and method == "bayes":
        raise VitvisError(f"{where}: method bayes needs a metric (metric: {{name: summary/score, goal: maximize}})")
    run_cap = content.get("run_cap")
    if run_cap is not None and (not isinstance(run_cap, int) or isinstance(run_cap, bool) or run_cap < 1):
        raise VitvisError(f"{where}: run_cap={run_cap!r} has to be a whole number above 0")
    command = content.get("command", list(_DEFAULT_COMMAND))
    if not isinstance(command, list) or not command:
        raise VitvisError(f"{where}: command has to be a list of words")
    for word in command:
        if not isinstance(word, str | int | float) or isinstance(word, bool):
            raise VitvisError(f"{where}: command: {word!r} is no word; put it in quotes")
        check_macro(str(word), where)
    program = str(content.get("program") or "")
    if "${program}" in command and not program:
        raise VitvisError(f"{where}: the command holds ${{program}}, but there is no program")
    return SweepSpec(
        path=path,
        name=str(content.get("name") or path.stem),
        method=method,
        parameters=parameters,
        metric=metric or Metric(),
        command=tuple(str(word) for word in command),
        program=program,
        description=" ".join(str(content.get("description") or "").split()),
        run_cap=run_cap,
        early_terminate=_read_early(content.get("early_terminate"), where),
    )


def _load(path: Path) -> Mapping[str, Any]:
    import yaml

    if not path.is_file():
        siblings = [str(item) for item in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        raise VitvisError(f"{path}: no such sweep file{nearest(str(path), siblings)}")
    try:  # PyYAML's own loader, as W&B uses it: a value that it reads as a text is one for W&B too
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise VitvisError(f"{path}: can't be read as YAML: {sentence(error)}") from None
    except (RecursionError, ValueError, OSError) as error:
        raise VitvisError(f"{path}: can't be read ({sentence(error)})") from None
    if not isinstance(content, Mapping):
        raise VitvisError(f"{path}: is no sweep file (it holds no mapping)")
    return content


def _check_names(parameters: Sequence[Parameter], where: str) -> None:
    seen: set[str] = set()
    for parameter in parameters:
        if parameter.name in seen:
            raise VitvisError(f"{where}: {parameter.name} is there twice, nested and dotted")
        seen.add(parameter.name)


def _check_grid(parameters: Sequence[Parameter], where: str) -> None:
    for parameter in parameters:
        if parameter.distribution not in ("constant", "categorical", "int_uniform", "q_uniform"):
            raise VitvisError(
                f"{where}: {parameter.name}: a grid can't hold {parameter.distribution}; list its values, "
                "or use method: random"
            )


def _read_metric(block: Any, where: str) -> Metric | None:
    if block is None:
        return None
    if not isinstance(block, Mapping) or not block.get("name") or not isinstance(block["name"], str):
        raise VitvisError(f"{where}: metric needs a name (metric: {{name: summary/score, goal: maximize}})")
    for key in block:
        if key not in _METRIC_KEYS:
            raise VitvisError(f"{where}: metric has no '{key}'{nearest(key, _METRIC_KEYS)}")
    goal = block.get("goal", "minimize")
    if goal not in ("minimize", "maximize"):
        raise VitvisError(f"{where}: metric goal is {goal!r}{nearest(goal, ('minimize', 'maximize'))}")
    target = block.get("target")
    return Metric(str(block["name"]), goal, None if target is None else _number(target, "metric target", where))


def _number(value: Any, name: str, where: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < 1e300:
        raise VitvisError(f"{where}: {name}={sentence(repr(value), 40)} is not a finite number")
    return float(value)


def _read_early(block: Any, where: str) -> EarlyTerminate | None:
    if block is None:
        return None
    if not isinstance(block, Mapping) or block.get("type") != "hyperband":
        raise VitvisError(f"{where}: early_terminate needs 'type: hyperband'")
    for key in block:
        if key not in _EARLY_KEYS:
            raise VitvisError(f"{where}: early_terminate has no '{key}'{nearest(key, _EARLY_KEYS)}")
    given = {key: _number(block[key], f"early_terminate: {key}", where) for key in _EARLY_NUMBERS if key in block}
    eta = given.get("eta", 3.0)
    if eta <= 1:
        raise VitvisError(f"{where}: early_terminate: eta={eta:g} has to be above 1")
    for key, number in given.items():
        if not 1 <= number <= 1e9:
            raise VitvisError(f"{where}: early_terminate: {key}={number:g} has to be from 1 to 1e9")
    if "max_iter" in given and "s" in given:  # bands are max_iter / eta^i for i in 1..s, those of at least 1
        steps = min(int(given["s"]), max(1, int(math.log(max(given["max_iter"], eta), eta) + 1e-9)))
        return EarlyTerminate(max(1, int(given["max_iter"] / eta**steps)), eta)
    if "min_iter" in given:
        return EarlyTerminate(int(given["min_iter"]), eta)
    raise VitvisError(f"{where}: early_terminate needs min_iter, or max_iter and s")
