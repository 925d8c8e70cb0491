"""Chunks: the images that are optimised together."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from vitvis.backbones import Site, Unit

__all__ = ["Chunk", "plan_chunks", "without"]


@dataclass(frozen=True)
class Chunk:
    """Images of one site. Image i is for `units[i]`, from `seeds[i]`.

    Attributes:
        site: of all units.
        units: one an image.
        seeds: one an image.
    """

    site: Site
    units: tuple[Unit, ...]
    seeds: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.units)

    @property
    def targets(self) -> tuple[tuple[str, int], ...]:
        """Address and seed of every image."""
        return tuple((unit.address, seed) for unit, seed in zip(self.units, self.seeds, strict=True))

    @property
    def name(self) -> str:
        """Name of the shard, `SITE-DIGEST`: of addresses and seeds alone, so the same chunk has it in every run."""
        digest = hashlib.sha256(repr(self.targets).encode()).hexdigest()[:12]
        return f"{re.sub(r'[^A-Za-z0-9._-]', '_', self.site.name)}-{digest}"


def plan_chunks(units: Sequence[Unit], seeds: Sequence[int], sites: Mapping[str, Site], size: int) -> list[Chunk]:
    """Cut units times seeds into chunks of at most `size` images, each of one site, in the order of the units.

    Args:
        units: grouped by site (as `parse_units` returns them).
        seeds: each unit gets one image a seed.
        sites: of the backbone.
        size: images a chunk; the last one of a site may be smaller.
    """
    chunks = []
    for name, group in groupby(units, key=lambda unit: unit.site):
        site = _find(sites, name)
        pairs = [(unit, seed) for unit in group for seed in seeds]
        for start in range(0, len(pairs), size):
            part = pairs[start : start + size]
            chunks.append(Chunk(site, tuple(unit for unit, _ in part), tuple(seed for _, seed in part)))
    return chunks


def without(chunk: Chunk, done: Collection[tuple[Any, ...]]) -> Chunk:
    """Return a chunk without the images `(address, seed)` that are there already."""
    left = [pair for pair in zip(chunk.units, chunk.seeds, strict=True) if (pair[0].address, pair[1]) not in done]
    if len(left) == len(chunk.units):
        return chunk
    return Chunk(chunk.site, tuple(unit for unit, _ in left), tuple(seed for _, seed in left))


def _find(sites: Mapping[str, Site], name: str) -> Site:
    getter = getattr(sites, "get_site", None)  # makes sites of the kind `module` on demand
    return getter(name) if getter is not None else sites[name]
