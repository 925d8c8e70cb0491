"""Which units of a site are close to each other: those that the same photos excite."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

__all__ = ["nearest_units"]


def nearest_units(strongest: Sequence[Sequence[int]], count: int) -> list[list[tuple[int, int]]]:
    """Return for each unit those that share most of its strongest images, most first.

    Args:
        strongest: Dataset indices by unit.
        count: At most so many neighbours a unit.

    Returns:
        `(unit, images shared)`; only units that share at least one.
    """
    owners: dict[int, list[int]] = defaultdict(list)
    for unit, images in enumerate(strongest):
        for image in set(images):
            owners[image].append(unit)
    found = []
    for unit, images in enumerate(strongest):
        shared = Counter(other for image in set(images) for other in owners[image])
        shared.pop(unit, None)
        near = sorted(shared.items(), key=lambda item: (-item[1], item[0]))[:count]
        found.append(near)
    return found
