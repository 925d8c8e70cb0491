"""Whether the photos of a unit are of one class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

__all__ = ["chance_of_same", "same_label"]


def same_label(labels: Sequence[Hashable]) -> float:
    """Return the share of pairs of photos that have the same class, 0..1: `sum n_c (n_c - 1) / (k (k - 1))`.

    Unlike the share of the commonest class or the entropy, it does not depend on how many photos there are: for photos
    drawn at random its expectation is `chance_of_same`. NaN below two photos.
    """
    count = len(labels)
    if count < 2:
        return float("nan")
    return sum(number * (number - 1) for number in Counter(labels).values()) / (count * (count - 1))


def chance_of_same(counts: Sequence[int]) -> float:
    """Return the chance that two photos drawn from the data (without putting back) have the same class.

    Args:
        counts: Photos of each class.
    """
    total = sum(counts)
    return sum(number * (number - 1) for number in counts) / (total * (total - 1)) if total > 1 else float("nan")
