"""Running statistics of many units at once: sums that merge to the last bit, histograms with fixed edges."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = [
    "BINS",
    "Histogram",
    "Moments",
    "add_exactly",
    "bin_edges",
    "bin_of",
    "no_moments",
    "sums_of",
    "trim",
    "zero_sum",
]

_STEPS = 4  # bins an octave; each power of two is cut into this many equal parts
_LOWEST, _HIGHEST = -10, 12  # smallest and largest power of two with bins of their own
_SHIFT = 23 - 2  # keeps the exponent and the first two bits of the mantissa of a float32
_FIRST = (127 + _LOWEST) * _STEPS
_SIDE = (_HIGHEST - _LOWEST) * _STEPS
#: Bins of a histogram: negative ones, one around zero, positive ones; the outermost are open.
BINS = 2 * _SIDE + 1


#: Limbs of 32 bits, and the power of two that the lowest stands for, of sums of activations and of their squares.
_SUM, _SQUARES = (8, -96), (15, -192)
#: Activations at a time on a CPU, and images whose bins wait to be counted.
_SLAB, _WAIT = 2**16, 256


def zero_sum(units: int, device: torch.device | str = "cpu", *, squares: bool = False) -> Tensor:
    """Return an exact sum of nothing, int64 `[U, limbs]`, limb by limb in memory; see `add_exactly`."""
    return torch.zeros((_SQUARES if squares else _SUM)[0], units, dtype=torch.int64, device=device).T


def add_exactly(total: Tensor, values: Tensor) -> None:
    """Add float64 `[U]` to fixed-point sums, in place and without rounding.

    Whole numbers of 32 bits are added up in 64, so sums are the same in whatever order and groups they are made
    (Kulisch's accumulator): parts of a search join to the last bit. 2^31 additions fit. What lies below 2^-96 (2^-192
    for squares) is dropped.
    """
    limbs, lowest = _SUM if total.shape[1] == _SUM[0] else _SQUARES
    rest = values * 2.0**-lowest
    on_cpu = rest.device.type == "cpu"  # elsewhere a look at the numbers would let the device wait
    highest = int(rest.abs().max().log2().clamp(0).item() // 32) if on_cpu and len(rest) else limbs - 1
    for limb in reversed(range(highest + 1)):
        digit = (rest * 2.0 ** (-32 * limb)).trunc()
        total[:, limb] += digit.to(torch.int64)
        rest = rest - digit * 2.0 ** (32 * limb)
        if on_cpu and not rest.any():
            break


def whole_sums(total: Tensor) -> list[int]:
    """Return fixed-point sums as whole numbers: multiples of 2^-96, of squares of 2^-192."""
    return [sum(digit << (32 * limb) for limb, digit in enumerate(row)) for row in total.tolist()]


def sums_of(total: Tensor) -> Tensor:
    """Return sums of activations, rounded once, float64 `[U]`."""
    return torch.tensor([value / (1 << -_SUM[1]) for value in whole_sums(total)], dtype=torch.float64)


def _slabs(values: Tensor) -> list[slice]:
    """Cut the units of activations `[B, U]` so that, on a CPU, what is made of a part stays in the caches."""
    units = values.shape[1]
    step = max(1, _SLAB // max(1, len(values))) if values.device.type == "cpu" else max(1, units)
    return [slice(start, start + step) for start in range(0, units, step)]


@dataclass(frozen=True)
class Moments:
    """Count, sum and sum of squares of each unit, added up without rounding.

    Attributes:
        count: Images.
        total: Sum of the activations, fixed point (`add_exactly`).
        squares: Sum of their squares, likewise.
        positive: int64 `[U]`, images whose activation is above 0.
    """

    count: int
    total: Tensor
    squares: Tensor
    positive: Tensor

    @property
    def mean(self) -> Tensor:
        """Mean over the images, float64 `[U]` on the CPU."""
        return sums_of(self.total) / max(self.count, 1)

    @property
    def std(self) -> Tensor:
        """Standard deviation over the images (of the population, not of a sample), float64 `[U]` on the CPU."""
        count = max(self.count, 1)
        pairs = zip(whole_sums(self.total), whole_sums(self.squares), strict=True)
        scale = count * count << -_SQUARES[1]
        return torch.tensor(
            [max(0, count * square - one * one) / scale for one, square in pairs], dtype=torch.float64
        ).sqrt()

    def add(self, values: Tensor) -> Moments:
        """Return the moments with activations `[B, U]`, all finite; sums change in place.

        Deviations are taken from the first image of the batch: what does not vary has a deviation of 0 exactly, and a
        small spread about a large mean keeps its digits.
        """
        count = len(values)
        first = values[0].to(torch.float64)
        shift, spread = torch.empty_like(first), torch.empty_like(first)
        for own in _slabs(values):
            apart = values[:, own].to(torch.float64).sub_(first[own])
            shift[own] = apart.sum(0)
            spread[own] = apart.square_().sum(0)
            self.positive[own] += (values[:, own] > 0).sum(0)
        for term in (count * first, shift):
            add_exactly(self.total, term)
        for term in (count * first.square(), 2 * first * shift, spread):
            add_exactly(self.squares, term)
        return Moments(self.count + count, self.total, self.squares, self.positive)

    def merge(self, other: Moments) -> Moments:
        """Return the moments of two disjoint sets of images together."""
        return Moments(
            self.count + other.count,
            self.total + other.total,
            self.squares + other.squares,
            self.positive + other.positive,
        )


def no_moments(units: int, device: torch.device | str = "cpu") -> Moments:
    """Return the moments of no image."""
    positive = torch.zeros(units, dtype=torch.int64, device=device)
    return Moments(0, zero_sum(units, device), zero_sum(units, device, squares=True), positive)


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
    """Return the bin of each activation (float32, finite), int32 in `0 .. BINS-1`.

    The bits of a float32 above the mantissa's third are the number of its bin: no search, no rounding.
    """
    bits = values.float().view(torch.int32)
    size = (bits & 0x7FFFFFFF).bitwise_right_shift_(_SHIFT).sub_(_FIRST - 1).clamp_(0, _SIDE)
    sign = bits >> 31  # 0 or -1, with which `(size ^ sign) - sign` is size or -size
    return size.bitwise_xor_(sign).sub_(sign).add_(_SIDE)


class Histogram:
    """Counts of activations by unit and bin.

    Counts of many units are a large table, which a forward pass drives out of the caches: bins of some batches wait, so
    that it is gone over once for all of them.

    Args:
        counts: int32 `[U, BINS]`, of what was seen before; changes in place.
    """

    def __init__(self, counts: Tensor) -> None:
        self._counts = counts
        self._waiting: list[Tensor] = []

    @property
    def counts(self) -> Tensor:
        """Counts of all that was added, int32 `[U, BINS]`."""
        if self._waiting:
            self._count_waiting()
        return self._counts

    def add(self, values: Tensor) -> None:
        """Count activations `[B, U]`."""
        bins = torch.empty(values.shape[::-1], dtype=torch.uint8, device=values.device)
        for own in _slabs(values):
            bins[own] = bin_of(values[:, own].T)
        self._waiting.append(bins)
        if sum(part.shape[1] for part in self._waiting) >= _WAIT:
            self._count_waiting()

    def _count_waiting(self) -> None:
        bins, self._waiting = torch.cat(self._waiting, 1), []
        one = torch.ones((), dtype=self._counts.dtype, device=bins.device)
        for own in _slabs(bins.T):
            part = bins[own].to(torch.int64)
            self._counts[own].scatter_add_(1, part, one.expand(part.shape))


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
