"""Means and differences of means with 95 % intervals: a bootstrap over units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vitvis.evaluate.bootstrap import interval, resampled_means

__all__ = ["Estimate", "difference", "mean"]


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval.

    Attributes:
        value: NaN where nothing was measured.
        low: Lower end.
        high: Upper end.
        n: Measurements behind it.
    """

    value: float
    low: float
    high: float
    n: int

    def text(self, digits: int = 2, *, signed: bool = False, scale: float = 1.0) -> str:
        """Return `0.31 [0.28, 0.35]`, or `-` where nothing was measured."""
        if not math.isfinite(self.value):
            return "-"
        form = f"{'+' if signed else ''}.{digits}f"
        return f"{scale * self.value:{form}} [{scale * self.low:{form}}, {scale * self.high:{form}}]"

    def scaled(self, factor: float) -> Estimate:
        """Return the same number in another unit."""
        return Estimate(factor * self.value, factor * self.low, factor * self.high, self.n)


def mean(values: Sequence[float], *, samples: int = 2000, seed: int = 0) -> Estimate:
    """Return the mean of what is finite, with the interval of a bootstrap over it."""
    column = _column(values)
    if not len(column):
        return Estimate(math.nan, math.nan, math.nan, 0)
    drawn = resampled_means(column[:, None], samples=samples, seed=seed)
    return Estimate(float(column.mean()), *interval(drawn[:, 0]), n=len(column))


def difference(first: Sequence[float], second: Sequence[float], *, samples: int = 2000, seed: int = 0) -> Estimate:
    """Return the mean of one group of units less that of another, with the interval of a bootstrap over all units."""
    one, other = _column(first), _column(second)
    if not len(one) or not len(other):
        return Estimate(math.nan, math.nan, math.nan, 0)
    table = np.full((len(one) + len(other), 2), np.nan)
    table[: len(one), 0], table[len(one) :, 1] = one, other
    drawn = resampled_means(table, samples=samples, seed=seed)
    return Estimate(float(one.mean() - other.mean()), *interval(drawn[:, 0] - drawn[:, 1]), n=len(one) + len(other))


def _column(values: Sequence[float]) -> np.ndarray:
    column = np.asarray(list(values), dtype=np.float64)
    return column[np.isfinite(column)]
