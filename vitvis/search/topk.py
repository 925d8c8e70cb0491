"""Streaming top-k for many units at once: pure functions on one tensor of sort keys.

An entry of a ranking is a pair (activation, dataset index). Both are packed into one int64 whose order is the order
of the ranking: activation first (largest first), then dataset index (smallest first). Keys of different images differ,
so the order is total, and the k largest keys of a stream do not depend on how the stream was cut, shuffled or
shared between ranks. Negative activations are ordinary; NaN never enters.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["MAX_INDEX", "Bar", "Placed", "TopK", "bar_of", "beats_last", "decode", "empty", "encode", "merge", "update"]

#: Dataset indices take the lower 32 bits of a key.
MAX_INDEX = 2**32 - 1

_LOW = 0xFFFFFFFF
_PADDING = -(2**63)  # sorts last: no entry at all
_EMPTY = _PADDING + 1  # a place that nothing has taken yet; below the key of -inf


@dataclass(frozen=True)
class TopK:
    """The k highest (or lowest) entries of each unit so far, best first.

    Attributes:
        keys: int64 `[U, k]`, descending; decode with `decode`.
        slots: int16 `[U, k]`, a permutation of `0 .. k-1` a unit: where what belongs to the entry (token, map) is
            kept, so that those need not move when the ranking does.
        largest: Whether high activations win.
    """

    keys: Tensor
    slots: Tensor
    largest: bool = True

    @property
    def k(self) -> int:
        """Entries a unit."""
        return self.keys.shape[1]


@dataclass(frozen=True)
class Placed:
    """Entries that a batch brought into a ranking, n of them.

    Attributes:
        units: int64 `[n]`.
        rows: int64 `[n]`, row of the batch.
        slots: int64 `[n]`, the slot which the entry took over.
    """

    units: Tensor
    rows: Tensor
    slots: Tensor


def empty(units: int, k: int, *, largest: bool = True, device: torch.device | str = "cpu") -> TopK:
    """Return the ranking of an empty stream."""
    keys = torch.full((units, k), _EMPTY, dtype=torch.int64, device=device)
    return TopK(keys, torch.arange(k, dtype=torch.int16, device=device).expand(units, k).clone(), largest)


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
    if indices.numel() and (int(indices.min()) < 0 or int(indices.max()) > MAX_INDEX):
        raise ValueError(f"dataset indices have to lie in 0 .. {MAX_INDEX}")
    signed = (values.float() if largest else -values.float()) + 0.0  # -0.0 + 0.0 is 0.0
    bits = signed.view(torch.int32)
    # IEEE 754: as integers, positive floats are in order already and negative ones in reverse
    ordered = bits.bitwise_xor((bits >> 31).bitwise_and_(0x7FFFFFFF)).to(torch.int64)
    keys = ordered.bitwise_left_shift_(32).bitwise_or_((_LOW - indices.to(values.device, torch.int64))[:, None])
    return keys.masked_fill_(torch.isnan(values), _PADDING)


def decode(top: TopK) -> tuple[Tensor, Tensor]:
    """Unpack a ranking.

    Returns:
        Activations float32 `[U, k]` (NaN in places nothing has taken) and dataset indices int64 `[U, k]` (-1 there).
    """
    vacant = top.keys == _EMPTY
    ordered = (top.keys >> 32).to(torch.int32)
    bits = torch.where(ordered < 0, ordered ^ 0x7FFFFFFF, ordered)
    values = bits.view(torch.float32)
    values = values if top.largest else -values + 0.0
    return values.masked_fill(vacant, torch.nan), (_LOW - (top.keys & _LOW)).masked_fill(vacant, -1)


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

    def of(self, first: int, stop: int) -> Bar:
        """Return the part of some units."""
        return Bar(self.last[first:stop], None if self.index is None else self.index[first:stop], self.largest)

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
    last, index = (part[:, 0] for part in decode(TopK(top.keys[:, -1:], top.slots, top.largest)))
    vacant = index < 0
    last = last.masked_fill(vacant, -torch.inf if top.largest else torch.inf)
    index = index.masked_fill(vacant, MAX_INDEX + 1)
    later = not len(index) or not len(indices) or bool(indices.min() > index.max())  # as in a stream in order
    return Bar(last, None if later else index, top.largest)


def beats_last(top: TopK, values: Tensor, indices: Tensor) -> Tensor:
    """Say which entries of a batch come before the last one of their unit's ranking; see `Bar.beaten`."""
    return bar_of(top, indices).beaten(values, indices)


def update(top: TopK, values: Tensor, indices: Tensor) -> tuple[TopK, Placed]:
    """Let one batch into a ranking.

    Only units for which some image beats the current k-th entry are touched; after the first few hundred images these
    are few, which is what makes the search cheap.

    Args:
        top: The ranking so far; left as it is.
        values: float32 `[B, U]`.
        indices: int64 `[B]`, dataset indices that the ranking has not seen yet.

    Returns:
        The new ranking, and which entries of the batch are in it.
    """
    indices = indices.to(values.device)
    rising = beats_last(top, values, indices)
    touched = rising.any(0).nonzero()[:, 0]
    if not touched.numel():
        nothing = torch.zeros(0, dtype=torch.int64, device=values.device)
        return top, Placed(nothing, nothing, nothing)
    rising = rising.T[touched].T
    keys = encode(values.T[touched].T, indices, largest=top.largest)
    candidates = keys.masked_fill_(~rising, _PADDING).T  # [touched, B]
    width = min(int(rising.sum(0).max()), top.k)
    candidates, rows = candidates.topk(width, dim=1)  # unit by unit at most `width` of the batch rise
    joined, order = torch.cat([top.keys[touched], candidates], 1).sort(1, descending=True)
    sources = torch.cat([top.slots[touched].to(torch.int64), -1 - rows], 1).gather(1, order)  # slot, or -1 - row
    kept, lost = sources[:, : top.k], sources[:, top.k :]
    fresh = kept < 0
    # The i-th newcomer of a unit takes the slot of the i-th entry that has to leave; there are as many of each.
    free = lost.sort(1, descending=True).values
    turn = (fresh.cumsum(1) - 1).clamp_(0, max(width - 1, 0))
    slots = torch.where(fresh, free.gather(1, turn), kept)
    new_keys, new_slots = top.keys.clone(), top.slots.clone()
    new_keys[touched] = joined[:, : top.k]
    new_slots[touched] = slots.to(torch.int16)
    unit, place = fresh.nonzero(as_tuple=True)
    placed = Placed(touched[unit], -1 - kept[unit, place], slots[unit, place])
    return TopK(new_keys, new_slots, top.largest), placed


def merge(first: TopK, second: TopK) -> tuple[TopK, Tensor]:
    """Join the rankings of two parts of a stream that share no image.

    Returns:
        The ranking of both parts, its slots in order (`slots[u, i] == i`), and int64 `[U, k]`: where what goes with an
        entry was kept, `slot` for the first part and `k + slot` for the second.

    Raises:
        ValueError: the two are not of the same kind and size.
    """
    if first.largest != second.largest or first.keys.shape != second.keys.shape:
        raise ValueError("rankings of different units, k or direction can't be merged")
    k = first.k
    keys, order = torch.cat([first.keys, second.keys], 1).sort(1, descending=True)
    origin = torch.cat([first.slots.to(torch.int64), second.slots.to(torch.int64) + k], 1).gather(1, order[:, :k])
    slots = empty(len(keys), k, device=keys.device).slots
    return TopK(keys[:, :k].clone(), slots, first.largest), origin
