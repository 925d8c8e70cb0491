"""Running statistics of many units at once: moments that merge exactly, and histograms with fixed edges."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["BINS", "Moments", "bin_edges", "bin_of", "combine", "histogram", "moments_of", "no_moments", "trim"]

_STEPS = 4  # bins an octave; each power of two is cut into this many equal parts
_LOWEST, _HIGHEST = -10, 12  # smallest and largest power of two with bins of their own
_SHIFT = 23 - 2  # keeps the exponent and the first two bits of the mantissa of a float32
_FIRST = (127 + _LOWEST) * _STEPS
_SIDE = (_HIGHEST - _LOWEST) * _STEPS
#: Bins of a histogram: negative ones, one around zero, positive ones; the outermost are open.
BINS = 2 * _SIDE + 1


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations of each unit, as in Chan, Golub and LeVeque (1979).

    Attributes:
        count: Images.
        mean: float64 `[U]`.
        squares: float64 `[U]`, sum of squared deviations from the mean.
        positive: int64 `[U]`, images whose activation is above 0.
    """

    count: int
    mean: Tensor
    squares: Tensor
    positive: Tensor

    @property
    def std(self) -> Tensor:
        """Standard deviation over the images (of the population, not of a sample), float64 `[U]`."""
        return (self.squares / max(self.count, 1)).sqrt()


def no_moments(units: int, device: torch.device | str = "cpu") -> Moments:
    """Return the moments of no image."""
    zero = torch.zeros(units, dtype=torch.float64, device=device)
    return Moments(0, zero, zero, torch.zeros(units, dtype=torch.int64, device=device))


def moments_of(values: Tensor) -> Moments:
    """Return the moments of activations `[B, U]`, all finite."""
    wide = values.to(torch.float64, copy=True)
    mean = wide.mean(0)
    return Moments(len(values), mean, wide.sub_(mean).square_().sum(0), (values > 0).sum(0))


def combine(first: Moments, second: Moments) -> Moments:
    """Return the moments of two disjoint sets of images together."""
    if not first.count or not second.count:
        return first if first.count else second
    count = first.count + second.count
    delta = second.mean - first.mean
    mean = first.mean + delta * (second.count / count)
    squares = first.squares + second.squares + delta.square() * (first.count * second.count / count)
    return Moments(count, mean, squares, first.positive + second.positive)


def bin_edges() -> Tensor:
    """Return the `BINS - 1` inner edges, float32, ascending: each power of two from 2^-10 to 2^12 cut into quarters.

    Bin i holds what lies between edge i-1 and edge i. On the positive side the lower edge belongs to the bin, on the
    negative side the upper one; the bin around zero holds what is smaller than 2^-10 in size, and the outermost bins
    also hold what lies beyond them. The edges are the same whatever the data, so histograms of parts simply add up.
    """
    steps = torch.arange(_SIDE, dtype=torch.float64)
    side = 2.0 ** (_LOWEST + steps // _STEPS) * (1 + (steps % _STEPS) / _STEPS)
    return torch.cat([-side.flip(0), side]).float()


def bin_of(values: Tensor) -> Tensor:
    """Return the bin of each activation (float32, finite), int64 in `0 .. BINS-1`.

    The bits of a float32 above the mantissa's third are the number of its bin: no search, no rounding.
    """
    bits = values.float().view(torch.int32)
    size = (bits & 0x7FFFFFFF).bitwise_right_shift_(_SHIFT).sub_(_FIRST - 1).clamp_(0, _SIDE)
    sign = bits >> 31  # 0 or -1, with which `(size ^ sign) - sign` is size or -size
    return size.bitwise_xor_(sign).sub_(sign).add_(_SIDE).to(torch.int64)


def histogram(values: Tensor, counts: Tensor) -> None:
    """Count activations `[B, U]` into int32 `counts` `[U, BINS]`, in place."""
    bins = bin_of(values.T)  # a unit's row of counts stays in the cache while its images are counted
    counts.scatter_add_(1, bins, torch.ones_like(bins, dtype=counts.dtype))


def trim(counts: Tensor, low: float, high: float) -> tuple[list[int], list[float]]:
    """Return one unit's histogram from its first to its last filled bin.

    Args:
        counts: `[BINS]`.
        low: Smallest activation, the outer edge of the first bin if that one is open.
        high: Largest activation, likewise.

    Returns:
        n counts and n + 1 edges; both empty where nothing was counted.
    """
    filled = counts.nonzero()[:, 0]
    if not len(filled):
        return [], []
    first, last = int(filled[0]), int(filled[-1])
    inner = bin_edges()
    inner_low, inner_high = float(inner[0]), float(inner[-1])
    edges = [min(low, inner_low * 2), *inner.tolist(), max(high, inner_high * 2)]
    return counts[first : last + 1].tolist(), edges[first : last + 2]
