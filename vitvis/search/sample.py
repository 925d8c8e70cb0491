"""A sample of images that everybody agrees on, and deciles drawn from it.

An image is in the sample when the hash of its dataset index is among the smallest. That depends neither on the order of
the stream nor on how it was shared out, and it is as good as a draw without replacement.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

__all__ = ["Sample", "draw_deciles", "keyed_hash", "no_sample"]

_LAST = 2**63 - 1


def keyed_hash(indices: Tensor, seed: int) -> Tensor:
    """Return the splitmix64 hash of each dataset index, its top 63 bits as int64 of the same shape (on the CPU)."""
    with np.errstate(over="ignore"):
        state = indices.cpu().numpy().astype(np.uint64) + np.uint64(1) + np.uint64(seed) * np.uint64(0xD1342543DE82EF95)
        state = state * np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state = state ^ (state >> np.uint64(31))
    return torch.from_numpy((state >> np.uint64(1)).astype(np.int64))


@dataclass
class Sample:
    """Images with the smallest hashes so far, and their activations.

    Attributes:
        hashes: int64 `[M]`, on the CPU; the largest int64 in rows that nothing has taken.
        indices: int64 `[M]`, dataset indices, on the CPU; -1 there.
        values: float32 `[M, U]`.
        seed: Seed of the hash.
    """

    hashes: Tensor
    indices: Tensor
    values: Tensor
    seed: int = 0

    def update(self, values: Tensor, indices: Tensor) -> None:
        """Let a batch in, `[B, U]` and `[B]`; rows are replaced in place."""
        self._admit(values, indices.cpu(), keyed_hash(indices, self.seed))

    def merge(self, other: Sample) -> None:
        """Let the sample of another part of the stream in."""
        taken = other.indices >= 0
        self._admit(other.values[taken.to(other.values.device)], other.indices[taken], other.hashes[taken])

    def _admit(self, values: Tensor, indices: Tensor, hashes: Tensor) -> None:
        size = len(self.hashes)
        order = torch.cat([self.hashes, hashes]).argsort(stable=True)[:size]
        kept = torch.zeros(size, dtype=torch.bool)
        kept[order[order < size]] = True
        fresh = order[order >= size] - size
        rows = (~kept).nonzero()[:, 0][: len(fresh)]
        if len(fresh):
            self.hashes[rows], self.indices[rows] = hashes[fresh], indices[fresh]
            self.values[rows.to(self.values.device)] = values[fresh.to(values.device)].to(self.values.device)


def no_sample(size: int, units: int, seed: int = 0, device: torch.device | str = "cpu") -> Sample:
    """Return the sample of an empty stream, with room for `size` images."""
    return Sample(torch.full((size,), _LAST), torch.full((size,), -1), torch.zeros(size, units, device=device), seed)


def draw_deciles(sample: Sample, each: int) -> tuple[Tensor, Tensor, Tensor]:
    """Draw images from each tenth of a unit's distribution.

    The n sampled images are put in order of activation; decile d holds places `d*n/10 .. (d+1)*n/10`. From each, the
    `each` images with the smallest hashes are taken.

    Returns:
        Dataset indices int64 `[U, D]`, activations float32 `[U, D]` and deciles int8 `[D]` (0 = lowest tenth), with
        `D = 10 * each`, or fewer where a decile of the sample holds fewer images. Each decile is in order.
    """
    taken = sample.indices >= 0
    by_hash = sample.hashes[taken].argsort()  # rows in an order that is the same however the sample came about
    values, indices = sample.values.cpu()[taken][by_hash], sample.indices[taken][by_hash]
    count = len(indices)
    bounds = [decile * count // 10 for decile in range(11)]
    order = values.T.argsort(dim=1, stable=True)  # [U, n], of rows in order of their hash
    places, deciles = [], []
    for decile in range(10):
        part = order[:, bounds[decile] : bounds[decile + 1]]
        number = min(each, part.shape[1])
        chosen = part.topk(number, dim=1, largest=False).indices.sort(1).values  # smallest hash; back in order
        places.append(part.gather(1, chosen))
        deciles += [decile] * number
    rows = torch.cat(places, 1)
    return indices[rows], values.T.gather(1, rows), torch.tensor(deciles, dtype=torch.int8)
