"""What a patch map says: how far it spreads, whether it points at the object, whether it moves with the picture."""

from __future__ import annotations

import numpy as np

__all__ = ["following", "pointing", "spread"]


def spread(values: np.ndarray) -> float:
    """Return the share of the patches that carry a map, 0..1: `exp(entropy of the map's positive part) / patches`.

    A single patch that fires gives `1 / patches`, a map that is even everywhere 1. NaN where nothing is positive.
    """
    positive = np.clip(np.asarray(values, dtype=np.float64).ravel(), 0, None)
    total = positive.sum()
    if not total > 0:
        return float("nan")
    shares = positive[positive > 0] / total
    return float(np.exp(-(shares * np.log(shares)).sum()) / positive.size)


def pointing(values: np.ndarray, inside: np.ndarray) -> tuple[float, float]:
    """Return the share of a map's positive part that lies on the object, and the share of the image it has.

    Args:
        values: `[rows, cols]`.
        inside: `[rows, cols]`, share of each patch that the object covers, 0..1.

    Returns:
        Both 0..1; equal on average for a map that knows nothing of the object. NaN where nothing is positive.
    """
    positive = np.clip(np.asarray(values, dtype=np.float64), 0, None)
    total = positive.sum()
    return (float((positive * inside).sum() / total) if total > 0 else float("nan")), float(inside.mean())


def following(before: np.ndarray, after: np.ndarray, shift: tuple[int, int]) -> float:
    """Return how well a map moves with its picture: the correlation of the moved map with the map of the moved picture.

    Args:
        before: `[rows, cols]`, map of a picture.
        after: Map of the picture moved cyclically by `shift` patches.
        shift: Rows and columns.

    Returns:
        -1..1: 1 where what is at a patch decides what a unit says there, whatever the position. NaN for flat maps.
    """
    first = np.roll(np.asarray(before, dtype=np.float64), shift, axis=(0, 1)).ravel()
    second = np.asarray(after, dtype=np.float64).ravel()
    first, second = first - first.mean(), second - second.mean()
    size = np.linalg.norm(first) * np.linalg.norm(second)
    return float(first @ second / size) if size > 1e-9 else float("nan")
