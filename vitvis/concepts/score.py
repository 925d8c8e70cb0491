"""The concept score: do the photos of a unit mean the same, although they look different?

For a space of features (language: a CLIP image tower; look: any other backbone), the features of all photos of a run
are centred at their mean and brought to length 1. The *agreement* of a unit in that space is

    A = 2 * mean over pairs (i, j) of its strongest photos of Q(cos(i, j)) - 1,

where Q is the share of random pairs of the run's photos whose cosine is smaller. Random photos have A = 0, the most
alike there are have A = 1. Q makes spaces comparable whose cosines spread differently, as those of CLIP and of a
supervised model do. The concept score is `A(language) - A(look)`, in [-2, 2]: above 0 for photos that mean the same
and look different, below 0 for photos that look alike and mean different things, about 0 where both or neither agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Agreement", "agreement", "centre", "concept_score", "random_cosines"]

Floats = NDArray[np.float32]
_REFERENCE = 200_000
_CHUNK = 256
#: Of a cosine; beyond them two photos of the same classes would tie or not by what float32 rounds off.
_DIGITS = 5


@dataclass(frozen=True)
class Agreement:
    """Scores of units, `[U]` each; NaN for units with fewer than two photos."""

    language: Floats
    look: Floats
    score: Floats


def centre(features: Floats, mean: Floats | None = None) -> Floats:
    """Return features `[N, D]` less their mean (or the one given), each of length 1."""
    centred = features - (features.mean(axis=0) if mean is None else mean)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return (centred / np.maximum(length, 1e-9)).astype(np.float32)


def random_cosines(centred: Floats, seed: int = 0, count: int = _REFERENCE) -> Floats:
    """Return the cosines of random pairs of different rows of `[N, D]`, sorted; at most `count`, all where fewer."""
    size = len(centred)
    if size * (size - 1) // 2 <= count:
        first, second = np.triu_indices(size, 1)
    else:
        draw = np.random.default_rng(seed)
        first = draw.integers(0, size, count)
        second = (first + draw.integers(1, size, count)) % size
    parts = [
        np.einsum("nd,nd->n", centred[first[start : start + 8192]], centred[second[start : start + 8192]])
        for start in range(0, len(first), 8192)
    ]
    return np.sort(np.concatenate(parts).round(_DIGITS)) if parts else np.zeros(0, np.float32)


def agreement(features: Floats, exemplars: NDArray[np.int64], seed: int = 0) -> Floats:
    """Return how far the photos of each unit agree in a space, `[U]`: 0 like random photos, 1 like the most alike.

    Args:
        features: of all photos, `[N, D]`.
        exemplars: rows of `features` of each unit's photos, `[U, k]`; -1 where a unit has fewer.
        seed: of the random pairs.
    """
    centred = centre(features)
    reference = random_cosines(centred, seed)
    found = np.full(len(exemplars), np.nan, np.float32)
    upper = np.triu(np.ones((exemplars.shape[1],) * 2, bool), 1)
    for start in range(0, len(exemplars), _CHUNK):
        rows = exemplars[start : start + _CHUNK]
        photos = centred[rows]
        cosines = (photos @ photos.transpose(0, 2, 1)).round(_DIGITS)
        valid = (rows >= 0)[:, :, None] & (rows >= 0)[:, None, :] & upper
        below = np.searchsorted(reference, cosines, side="left") + np.searchsorted(reference, cosines, side="right")
        shares = below / (2 * max(1, len(reference)))  # a tie counts half
        pairs = valid.sum(axis=(1, 2))
        sums = np.where(valid, shares, 0.0).sum(axis=(1, 2))
        found[start : start + _CHUNK] = np.where(pairs > 0, 2 * sums / np.maximum(pairs, 1) - 1, np.nan)
    return found


def concept_score(language: Floats, look: Floats, exemplars: NDArray[np.int64], seed: int = 0) -> Agreement:
    """Return agreement in both spaces and their difference; see the module's text for the formula.

    Args:
        language: features of all photos in the language space, `[N, D]`.
        look: features of the same photos in a purely visual space, `[N, E]`.
        exemplars: rows of each unit's photos, `[U, k]`; -1 where a unit has fewer.
        seed: of the random pairs.
    """
    meaning, seen = agreement(language, exemplars, seed), agreement(look, exemplars, seed)
    return Agreement(meaning, seen, meaning - seen)
