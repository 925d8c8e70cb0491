"""Chunks: the images that are optimised together."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from vitvis.backbones import Site, Unit

__all__ = ["Chunk", "plan_chunks", "relative_depth", "variant_seeds", "without"]


@dataclass(frozen=True)
class Chunk:
    """Images of one site. Image i is for `units[i]`, from `seeds[i]`.

    Attributes:
        site: of all units.
        units: one an image.
        seeds: one an image.
        variants: how many images in a row are variants of one unit, and stay together.
    """

    site: Site
    units: tuple[Unit, ...]
    seeds: tuple[int, ...]
    variants: int = 1

    def __len__(self) -> int:
        return len(self.units)

    def at(self, places: Sequence[int]) -> Chunk:
        """Return the chunk of some of its images; itself where those are all."""
        if len(places) == len(self):
            return self
        units, seeds = tuple(self.units[i] for i in places), tuple(self.seeds[i] for i in places)
        return replace(self, units=units, seeds=seeds)

    def is_of(self, state: Mapping[str, Any]) -> bool:
        """Say whether a state (`ActivationMaximization.chunk_state`) is of these images."""
        return tuple((address, seed) for address, seed in state["targets"]) == self.targets

    @property
    def targets(self) -> tuple[tuple[str, int], ...]:
        """Address and seed of every image."""
        return tuple((unit.address, seed) for unit, seed in zip(self.units, self.seeds, strict=True))

    @property
    def name(self) -> str:
        """Name of the shard, `SITE-DIGEST`: of addresses and seeds alone, so the same chunk has it in every run."""
        digest = hashlib.sha256(repr(self.targets).encode()).hexdigest()[:12]
        return f"{re.sub(r'[^A-Za-z0-9._-]', '_', self.site.name)}-{digest}"


def variant_seeds(seeds: Sequence[int], variants: int) -> list[int]:
    """Return the seeds of all images of a unit: each seed stands for the group of `variants` seeds that it is in.

    Groups are 0 to V - 1, V to 2 V - 1 and so on, so that the seed of any picture names the pictures it was made with.

    >>> variant_seeds([0, 5], 4)
    [0, 1, 2, 3, 4, 5, 6, 7]
    """
    groups = dict.fromkeys(seed // variants for seed in seeds)
    return [group * variants + place for group in groups for place in range(variants)]


def plan_chunks(
    units: Sequence[Unit], seeds: Sequence[int], sites: Mapping[str, Site], size: int, variants: int = 1
) -> list[Chunk]:
    """Cut units times seeds into chunks of at most `size` images, each of one site, in the order of the units.

    Args:
        units: grouped by site (as `parse_units` returns them).
        seeds: each unit gets one image a seed.
        sites: of the backbone.
        size: images a chunk; the last one of a site may be smaller.
        variants: images of a unit that are never parted, even where a chunk is to be smaller; each seed stands for its
            group (`variant_seeds`).
    """
    seeds, size = variant_seeds(seeds, variants), max(1, size // variants) * variants
    chunks = []
    for name, group in groupby(units, key=lambda unit: unit.site):
        site = _find(sites, name)
        pairs = [(unit, seed) for unit in group for seed in seeds]
        for start in range(0, len(pairs), size):
            part = pairs[start : start + size]
            chunks.append(Chunk(site, tuple(unit for unit, _ in part), tuple(seed for _, seed in part), variants))
    return chunks


def relative_depth(site: Site, sites: Mapping[str, Site]) -> float:
    """Return the depth of a site among those of its model: 0 in the first block, 1 behind the last, whatever head."""
    blocks = max((other.depth + 1 for other in sites.values() if other.kind == "block"), default=0)
    return min(1.0, site.depth / (blocks or max(1, *(other.depth for other in sites.values()))))


def without(chunk: Chunk, done: Collection[tuple[Any, ...]]) -> Chunk:
    """Return a chunk without the images `(address, seed)` that are there already; variants are made all or none."""
    count, missing = chunk.variants, [target not in done for target in chunk.targets]
    return chunk.at([place for place in range(len(chunk)) if any(missing[place // count * count :][:count])])


def _find(sites: Mapping[str, Site], name: str) -> Site:
    getter = getattr(sites, "get_site", None)  # makes sites of the kind `module` on demand
    return getter(name) if getter is not None else sites[name]
