"""Streaming top-k for many units at once: pure functions on one tensor of sort keys.

An entry of a ranking is a pair (activation, dataset index). Both are packed into one int64 whose order is the order
of the ranking: activation first (largest first), then dataset index (smallest first). Keys of different images differ,
so the order is total, and the k largest keys of a stream do not depend on how the stream was cut, shuffled or
shared between ranks. Negative activations are ordinary; NaN never enters.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

__all__ = ["MAX_INDEX", "Bar", "Placed", "TopK", "bar_of", "decode", "empty", "encode", "merge", "update"]

#: Dataset indices take the lower 32 bits of a key.
MAX_INDEX = 2**32 - 1

_LOW = 0xFFFFFFFF
_PADDING = -(2**63)  # sorts last: no entry at all
_EMPTY = _PADDING + 1  # a place that nothing has taken yet; below the key of -inf


@dataclass
class TopK:
    """The k highest (or lowest) entries of each unit so far, in no order; `decode` puts them in order.

    An entry stays in its place until a better one takes that place over, so that what belongs to the entry (token, map)
    can be kept by place, and need not move.

    Attributes:
        keys: int64 `[U, k]`.
        largest: Whether high activations win.
        last: int64 `[U]`, the key of each unit's last entry.
        spot: int64 `[U]`, where it is.
    """

    keys: Tensor
    largest: bool = True
    last: Tensor = field(init=False)
    spot: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.last, self.spot = self.keys.min(1)

    @property
    def k(self) -> int:
        """Entries a unit."""
        return self.keys.shape[1]


@dataclass(frozen=True)
class Placed:
    """Entries that a batch brought into a ranking, n of them.

    Attributes:
        units: int64 `[n]`, ascending.
        rows: int64 `[n]`, row of the batch.
        places: int64 `[n]`, the place in `TopK.keys` which the entry took over.
    """

    units: Tensor
    rows: Tensor
    places: Tensor


def empty(units: int, k: int, *, largest: bool = True, device: torch.device | str = "cpu") -> TopK:
    """Return the ranking of an empty stream."""
    return TopK(torch.full((units, k), _EMPTY, dtype=torch.int64, device=device), largest)


def encode(values: Tensor, indices: Tensor, *, largest: bool = True) -> Tensor:
    """Pack activations and dataset indices into sort keys.

    Args:
        values: float32 `[B, U]`; -0.0 counts as 0.0, NaN gets a key that sorts last.
        indices: int64 `[B]`, each in `0 .. MAX_INDEX`.
        largest: Whether high activations get high keys.

    Returns:
        int64 `[B, U]`.

    Raises:
        ValueError: an index that does not fit.
    """
    return _encode(values, indices[:, None], largest=largest)


def _encode(values: Tensor, indices: Tensor, *, largest: bool) -> Tensor:
    """Pack activations and dataset indices, of shapes that go together."""
    if indices.numel() and (int(indices.min()) < 0 or int(indices.max()) > MAX_INDEX):
        raise ValueError(f"dataset indices have to lie in 0 .. {MAX_INDEX}")
    signed = (values.float() if largest else -values.float()) + 0.0  # -0.0 + 0.0 is 0.0
    bits = signed.view(torch.int32)
    # IEEE 754: as integers, positive floats are in order already and negative ones in reverse
    ordered = bits.bitwise_xor((bits >> 31).bitwise_and_(0x7FFFFFFF)).to(torch.int64)
    keys = ordered.bitwise_left_shift_(32).bitwise_or_(_LOW - indices.to(values.device, torch.int64))
    return keys.masked_fill_(torch.isnan(values), _PADDING)


def decode(top: TopK) -> tuple[Tensor, Tensor, Tensor]:
    """Unpack a ranking, best entry first.

    Returns:
        Activations float32 `[U, k]` (NaN in places nothing has taken), dataset indices int64 `[U, k]` (-1 there), and
        int64 `[U, k]`: the place of each entry in `top.keys`.
    """
    keys, places = top.keys.sort(1, descending=True)
    return *_decode(keys, largest=top.largest), places


def _decode(keys: Tensor, *, largest: bool) -> tuple[Tensor, Tensor]:
    """Unpack keys of any shape into activations and dataset indices; NaN and -1 of places nothing has taken."""
    vacant = keys == _EMPTY
    ordered = (keys >> 32).to(torch.int32)
    bits = torch.where(ordered < 0, ordered ^ 0x7FFFFFFF, ordered)
    values = bits.view(torch.float32)
    values = values if largest else -values + 0.0
    return values.masked_fill(vacant, torch.nan), (_LOW - (keys & _LOW)).masked_fill(vacant, -1)


@dataclass(frozen=True)
class Bar:
    """What an entry of a batch has to beat to come into a ranking.

    Attributes:
        last: float32 `[U]`, the last activation of each ranking; infinite where a place is free.
        index: int64 `[U]`, its dataset index; None where every image of the batch comes later, and wins no tie.
        largest: Whether high activations win.
    """

    last: Tensor
    index: Tensor | None
    largest: bool

    def at(self, units: slice | Tensor) -> Bar:
        """Return the part of some units."""
        return Bar(self.last[units], None if self.index is None else self.index[units], self.largest)

    def may_be_beaten(self, best: Tensor) -> Tensor:
        """Say whether a batch whose best activations these are, `[U]`, may have an entry that comes in; NaN may."""
        out = best <= self.last if self.largest else best >= self.last
        return ~out if self.index is None else ~out.logical_and_(best != self.last)

    def beaten(self, values: Tensor, indices: Tensor) -> Tensor:
        """Say which entries come before the last one of their unit's ranking, bool `[B, U]`; NaN beats nothing.

        Args:
            values: float32 `[B, U]`.
            indices: int64 `[B]`, dataset indices, on the same device.
        """
        better = values > self.last if self.largest else values < self.last
        if self.index is None:
            return better
        return better.logical_or_((values == self.last).logical_and_(indices[:, None] < self.index))


def bar_of(top: TopK, indices: Tensor) -> Bar:
    """Return what images with these dataset indices, int64 `[B]`, have to beat."""
    last, index = _decode(top.last, largest=top.largest)
    vacant = index < 0
    last = last.masked_fill(vacant, -torch.inf if top.largest else torch.inf)
    index = index.masked_fill(vacant, MAX_INDEX + 1)
    later = not len(index) or bool(indices.min() > index.max())  # as in a stream in order
    return Bar(last, None if later else index, top.largest)


def update(top: TopK, values: Tensor, indices: Tensor) -> Placed:
    """Let one batch into a ranking, which changes in place.

    Only units for which some image beats the current k-th entry are touched; after the first few hundred images these
    are few, which is what makes the search cheap.

    Args:
        top: The ranking so far.
        values: float32 `[B, U]`; fastest where a unit's activations lie side by side.
        indices: int64 `[B]`, dataset indices that the ranking has not seen yet.

    Returns:
        Which entries of the batch are in the ranking.
    """
    indices = indices.to(values.device)
    if not len(indices):
        return Placed(indices, indices, indices)
    bar = bar_of(top, indices)
    touched = bar.may_be_beaten(values.amax(0) if top.largest else values.amin(0)).nonzero()[:, 0]
    values = values.T[touched].T
    unit, row = bar.at(touched).beaten(values, indices).T.nonzero(as_tuple=True)
    if not len(unit):
        return Placed(unit, row, unit)
    # the newcomers of each unit side by side, best first: then none of them takes the place of another
    count = torch.bincount(unit, minlength=len(touched))
    flat = unit * int(count.max()) + torch.arange(len(unit), device=unit.device) - (count.cumsum(0) - count)[unit]
    keys = torch.full((len(touched), int(count.max())), _PADDING, device=values.device)
    rows, places = torch.zeros_like(keys), torch.full_like(keys, -1)
    keys.view(-1)[flat] = _encode(values.T[unit, row], indices[row], largest=top.largest)
    rows.view(-1)[flat] = row
    keys, order = keys.sort(1, descending=True)
    rows = rows.gather(1, order)
    for turn in range(min(keys.shape[1], top.k)):
        (own,) = (keys[:, turn] > top.last[touched]).nonzero(as_tuple=True)
        units = touched[own]
        spots = top.spot[units]
        top.keys[units, spots] = keys[own, turn]
        places[own, turn] = spots
        top.last[units], top.spot[units] = top.keys[units].min(1)
    unit, turns = (places >= 0).nonzero(as_tuple=True)
    return Placed(touched[unit], rows[unit, turns], places[unit, turns])


def merge(first: TopK, second: TopK) -> tuple[TopK, Tensor]:
    """Join the rankings of two parts of a stream that share no image.

    Returns:
        The ranking of both parts, and int64 `[U, k]`: where each of its entries was, `place` in the first part and
        `k + place` in the second.

    Raises:
        ValueError: the two are not of the same kind and size.
    """
    if first.largest != second.largest or first.keys.shape != second.keys.shape:
        raise ValueError("rankings of different units, k or direction can't be merged")
    keys, origin = torch.cat([first.keys, second.keys], 1).topk(first.k, dim=1)
    return TopK(keys, first.largest), origin
