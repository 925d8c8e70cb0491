"""Agreement: are two pictures of one unit, from different seeds, alike?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["agreement"]


def agreement(directions: NDArray[np.floating], units: Sequence[str]) -> NDArray[np.float64]:
    """Return, for each picture, the share of other units' pictures that are farther from it than its own siblings.

    Half by chance, 1 where the pictures of a unit are always nearer to each other than to any other unit's. Ties count
    half.

    Args:
        directions: Of length 1, `[N, D]`.
        units: Which unit each is of.

    Returns:
        float64 `[N]`; NaN for a picture without siblings, or without strangers.
    """
    names = np.asarray(units)
    if directions.ndim != 2 or len(directions) != len(names):
        raise ValueError(f"{len(names)} units do not belong to directions of shape {directions.shape}")
    cosines = directions @ directions.T
    found = np.full(len(names), np.nan)
    for place, name in enumerate(names):
        same = names == name
        strangers = np.sort(cosines[place][~same])
        same[place] = False
        siblings = cosines[place][same]
        if len(siblings) and len(strangers):
            below = np.searchsorted(strangers, siblings, "left") + np.searchsorted(strangers, siblings, "right")
            found[place] = below.mean() / (2 * len(strangers))
    return found
