"""Learning rate over the steps of a chunk."""

from __future__ import annotations

import math

__all__ = ["rate_factor"]


def rate_factor(schedule: str, progress: float) -> float:
    """Return the factor of the learning rate when `progress` (0..1) of the steps is done.

    `cosine` falls from 1 to 0 as `(1 + cos(pi * progress)) / 2` (the paper's); `constant` is 1.
    """
    return 1.0 if schedule == "constant" else (1 + math.cos(math.pi * progress)) / 2
