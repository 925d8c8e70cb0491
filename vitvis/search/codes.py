"""The latents of a dictionary that are on in a batch: a short list, where a table would be nearly all zeros."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vitvis.search.layout import Group

__all__ = ["Codes"]


@dataclass(frozen=True)
class Codes:
    """Entries of a sparse table `[B, T, U]`; all tensors `[n]`.

    Attributes:
        rows: int64, image of the batch.
        tokens: int64.
        units: int64, column among the units that are watched.
        values: float32, the code times the unit's sign.
        width: U.
    """

    rows: Tensor
    tokens: Tensor
    units: Tensor
    values: Tensor
    width: int

    @classmethod
    def of(cls, activations: Tensor, group: Group) -> Codes:
        """Encode what goes into a group's dictionary, `[B, T, D]`."""
        dictionary = group.site.dictionary
        assert dictionary is not None, "a group of latents has one"
        batch, tokens, _ = activations.shape
        places, latents, values = dictionary.active(activations.reshape(batch * tokens, -1))
        if not group.whole:
            latents, values, places = _watched(group, latents, values, places)
        return cls(places // tokens, places % tokens, latents, values, len(group.units))

    def add_up(self, terms: Tensor, batch: int) -> Tensor:
        """Sum terms `[n]`, one an entry, over the tokens: `[B, U]`; the same number whatever stands beside it."""
        total = torch.zeros(batch * self.width, dtype=terms.dtype, device=terms.device)
        return total.index_add_(0, self.rows * self.width + self.units, terms).view(batch, self.width)

    def maps(self, candidates: Tensor, group: Group) -> Tensor:
        """Return the patch maps of pairs of unit and image.

        Args:
            candidates: int64 `[n]`, ascending: `row * U + unit`.
            group: of the latents.

        Returns:
            `[n, P]`.
        """
        maps = torch.zeros(len(candidates), group.patches, device=self.values.device)
        if not len(candidates):
            return maps
        candidates = candidates.to(self.values.device)
        keys = self.rows * self.width + self.units
        found = torch.searchsorted(candidates, keys).clamp_(max=len(candidates) - 1)
        patches = self.tokens - group.site.prefix_tokens
        kept = (candidates[found] == keys) & (patches >= 0)
        maps[found[kept], patches[kept]] = self.values[kept]
        return maps


def _watched(group: Group, latents: Tensor, values: Tensor, places: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Keep the latents that are watched, as columns, with their signs; one may be watched in both directions."""
    parts = []
    for sign in sorted({unit.sign for unit in group.units}):
        column = torch.full((group.site.width,), -1, dtype=torch.int64)
        own = [(unit.index, place) for place, unit in enumerate(group.units) if unit.sign == sign]
        indices, columns = torch.tensor(own, dtype=torch.int64).T
        column[indices] = columns
        found = column.to(latents.device)[latents]
        kept = found >= 0
        parts.append((found[kept], values[kept] * sign, places[kept]))
    columns, codes, rows = (torch.cat(part) for part in zip(*parts, strict=True))
    return columns, codes, rows
