"""Paired bootstrap over images. Pure functions on arrays.

Several measurements of one image (models, variants, top-1 and top-5) stay together when images are drawn again, so
that intervals of differences and ratios are paired (Efron & Tibshirani, An Introduction to the Bootstrap, 1993, ch. 8).
Hits are 0 or 1, so that few distinct rows exist: how often each of them is drawn is multinomial, which is the bootstrap
exactly and costs as much as there are distinct rows, not images.
"""

from __future__ import annotations

import numpy as np

__all__ = ["interval", "resampled_means"]

#: Stands for a measurement that an image lacks: NaN would make every row distinct.
_ABSENT = -np.inf
#: Numbers drawn at a time, 8 bytes each: memory does not grow with draws times images.
_CELLS = 2**22


def resampled_means(hits: np.ndarray, *, samples: int = 2000, seed: int = 0) -> np.ndarray:
    """Draw the images again and again, and average.

    Args:
        hits: float `[images, measurements]`; NaN where an image has no such measurement.
        samples: Draws of as many images as there are.
        seed: Seed of the draws; the same seed and shape give the same draws.

    Returns:
        float `[samples, measurements]`: means over the images drawn that have the measurement, NaN if none has it.
    """
    count = len(hits)
    if count == 0:
        return np.full((samples, hits.shape[1]), np.nan)
    patterns, repeats = _patterns(np.where(np.isnan(hits), _ABSENT, hits))
    present = patterns != _ABSENT
    values, weights = np.where(present, patterns, 0.0), present.astype(float)
    generator = np.random.default_rng(seed)
    means = np.empty((samples, hits.shape[1]))
    rows = max(1, _CELLS // len(patterns))
    for first in range(0, samples, rows):
        drawn = generator.multinomial(count, repeats / count, size=min(rows, samples - first)).astype(float)
        with np.errstate(invalid="ignore", divide="ignore"):
            means[first : first + len(drawn)] = (drawn @ values) / (drawn @ weights)
    return means


def interval(values: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of resampled values `[samples]`; NaN is left out."""
    values = values[np.isfinite(values)]
    if values.size == 0:
        return float("nan"), float("nan")
    tail = 100 * (1 - confidence) / 2
    low, high = np.percentile(values, [tail, 100 - tail])
    return float(low), float(high)


def _patterns(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct rows and how often each occurs; counting digits is fast where all are 0, 1 or absent."""
    width = values.shape[1]
    if width > 12 or not np.isin(values, (_ABSENT, 0, 1)).all():
        return np.unique(values, axis=0, return_counts=True)
    digits = 3 ** np.arange(width)
    counts = np.bincount((np.where(values == _ABSENT, -1, values).astype(np.int64) + 1) @ digits)
    codes = np.flatnonzero(counts)
    rows = ((codes[:, None] // digits) % 3 - 1).astype(float)
    return np.where(rows < 0, _ABSENT, rows), counts[codes]
