"""W&B's distributions as Optuna's: what Optuna draws, and the value that it stands for.

Optuna knows uniform, log-uniform and categorical draws. The others (normal, beta, weighted choices) are drawn as a
uniform quantile in (0, 1) and turned into a value by their inverse distribution function, which is how W&B's own
`sweeps` package draws all of them, and which gives TPE a space it can model.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from vitvis.errors import VitvisError
from vitvis.sweep.parameters import Parameter

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

__all__ = ["GRID_LIMIT", "decode", "distribution_of", "grid_points", "grid_size"]

#: Most points that a grid may have, and values that one axis of it may hold.
GRID_LIMIT = 100_000
_EDGE = 1e-9  # quantiles stay this far from 0 and 1, where a normal value is infinite


def distribution_of(parameter: Parameter) -> BaseDistribution:
    """Return what Optuna draws for a parameter that varies; `decode` turns a draw into the value."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    options, kind = parameter.options, parameter.distribution
    if kind == "categorical":  # positions, since Optuna stores no lists and no mappings
        return CategoricalDistribution(list(range(len(options["values"]))))
    if kind == "int_uniform":
        return IntDistribution(options["min"], options["max"])
    if kind in ("uniform", "q_uniform", "log_uniform", "q_log_uniform", "inv_log_uniform"):
        return FloatDistribution(options["min"], options["max"])
    if kind in ("log_uniform_values", "q_log_uniform_values", "inv_log_uniform_values"):
        return FloatDistribution(options["min"], options["max"], log=True)
    return FloatDistribution(_EDGE, 1 - _EDGE)


def decode(parameter: Parameter, draw: Any) -> Any:
    """Return the value that a draw from `distribution_of(parameter)` stands for.

    `log_uniform` has exponents of e as bounds and `inv_log_uniform` their negatives; `..._values` have the values
    themselves. `q_...` rounds to the nearest multiple of q, and gives whole numbers where q is one.
    """
    options, kind = parameter.options, parameter.distribution
    if kind == "categorical":
        return options["values"][draw]
    if kind == "categorical_w_probabilities":
        cumulative = itertools.accumulate(options["probabilities"])
        last = max(i for i, p in enumerate(options["probabilities"]) if p > 0)
        return options["values"][next((i for i, edge in enumerate(cumulative) if draw < edge), last)]
    if kind == "int_uniform":
        return int(draw)
    value = float(draw)
    if kind in ("log_uniform", "q_log_uniform"):
        value = math.exp(value)
    elif kind == "inv_log_uniform":
        value = math.exp(-value)
    elif kind.endswith("normal"):
        value = NormalDist(options["mu"], options["sigma"]).inv_cdf(value)
        value = math.exp(value) if kind.endswith("log_normal") else value
    elif kind.endswith("beta"):
        value = _beta_quantile(value, options["a"], options["b"])
    return _quantise(value, options["q"]) if "q" in options else value


def grid_points(parameters: Sequence[Parameter], count: int) -> list[dict[str, Any]]:
    """Return the draws of the first points of a grid, the last parameter changing fastest.

    `q_uniform` stops before its max, as in W&B's grid.
    """
    draws = {parameter.name: _grid_draws(parameter) for parameter in parameters if parameter.varies}
    points = itertools.islice(_product(list(draws.values())), count)
    return [dict(zip(draws, point, strict=True)) for point in points]


def grid_size(parameters: Sequence[Parameter]) -> int:
    """Return the number of points of a grid without making them."""
    return math.prod(_length(_grid_draws(parameter)) for parameter in parameters if parameter.varies)


def _product(axes: Sequence[Sequence[Any]]) -> Iterator[tuple[Any, ...]]:
    """Yield what `itertools.product` does without holding the axes, of which each may be a long range."""
    if not axes:
        yield ()
        return
    for first in axes[0]:
        for rest in _product(axes[1:]):
            yield (first, *rest)


def _grid_draws(parameter: Parameter) -> Sequence[Any]:
    options = parameter.options
    if parameter.distribution == "int_uniform":
        return range(options["min"], options["max"] + 1)
    if parameter.distribution == "q_uniform":
        count = math.ceil((options["max"] - options["min"]) / options["q"] - 1e-9)
        if count > GRID_LIMIT:
            raise VitvisError(f"{parameter.name}: a grid of {count:,} values; the most is {GRID_LIMIT:,}")
        return [float(f"{options['min'] + index * options['q']:.12g}") for index in range(count)]
    return range(len(options["values"]))


def _length(values: Sequence[Any]) -> int:
    return values.stop - values.start if isinstance(values, range) else len(values)  # len() of a long range fails


def _quantise(value: float, step: float) -> float | int:
    rounded = round(value / step) * step
    return rounded if isinstance(step, int) else float(f"{rounded:.12g}")


def _beta_quantile(quantile: float, a: float, b: float) -> float:
    try:
        from scipy.stats import beta
    except ImportError:
        raise VitvisError("a beta distribution needs SciPy: pip install scipy, or use uniform") from None
    return float(beta.ppf(quantile, a, b))
