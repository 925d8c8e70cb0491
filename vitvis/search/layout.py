"""Which units a search watches: columns of one long table, grouped by site."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from vitvis.backbones import Site, Unit

__all__ = ["Group", "Layout", "make_layout"]


@dataclass(frozen=True)
class Group:
    """The units of one site.

    Attributes:
        site: The site.
        units: Its units that are watched.
        first: Column of the first of them.
        whole: Whether they are simply all channels in order, so that nothing has to be picked.
    """

    site: Site
    units: list[Unit]
    first: int
    whole: bool

    @property
    def stop(self) -> int:
        """Column behind the last unit."""
        return self.first + len(self.units)

    @property
    def latents(self) -> bool:
        """Whether they are latents of a dictionary, nearly all of which are off at any token."""
        return self.site.dictionary is not None

    @property
    def patches(self) -> int:
        """Patches of the site's grid; 0 where it has none."""
        return self.site.grid[0] * self.site.grid[1] if self.site.grid else 0

    def read(self, activations: Tensor) -> Tensor:
        """Pick the units out of `[B, T, C]`; returns `[B, T, U]`."""
        if self.whole:
            return activations
        from vitvis.backbones import read_units

        return read_units(activations, self.units, self.site)


@dataclass(frozen=True)
class Layout:
    """All units that are watched, as columns `0 .. width - 1`, shallow sites first.

    Attributes:
        groups: One a site.
        tokens: Positions that count for a unit's activation: `patches`, `cls`, `all`, an index, a box.
    """

    groups: list[Group]
    tokens: Any = "patches"

    @property
    def width(self) -> int:
        """Units."""
        return self.groups[-1].stop if self.groups else 0

    def counted(self, group: Group) -> int:
        """Return how many tokens of an image count at a group's site."""
        from vitvis.backbones import select_tokens

        return int(select_tokens(torch.zeros(1, group.site.tokens, 1), group.site, self.tokens).shape[1])


def make_layout(units: Sequence[Unit], sites: Mapping[str, Site], tokens: Any = "patches") -> Layout:
    """Group units, sorted as `parse_units` leaves them, by site."""
    by_site: dict[str, list[Unit]] = {}
    for unit in units:
        by_site.setdefault(unit.site, []).append(unit)
    groups, first = [], 0
    for name, own in by_site.items():
        site = sites[name]
        plain = all(unit.sign == 1 and unit.direction is None for unit in own)
        whole = plain and [unit.index for unit in own] == list(range(site.width))
        groups.append(Group(site, own, first, whole))
        first += len(own)
    return Layout(groups, tokens)
