"""The choice test: given a unit's picture, which of two photos excites the unit?

After the psychophysics of Borowski et al. 2021 (arXiv 2010.12606) and its machine version, Zimmermann et al. 2024
(MIS, arXiv 2410.14563): here the explanation is one picture, the observer a frozen model. It chooses the photo that is
more similar to the picture, and its score is the share of pairs in which that photo excites the unit more. All pairs
count, so that nothing is left to a draw.

**What all units of a site share is taken out.** If photos full of contrast excite every unit of a site, white noise
would choose well for each of them. The directions that tell strong photos from weak ones, and from ordinary ones, for
the site's units on the whole are projected out of the space. Along the directions of white noise and of plain grey, a
unit's strong, weak and ordinary photos are brought to the same mean: an explanation that says nothing about *this*
unit then scores half, while noise in a picture still drowns what it shows, as it does for people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vitvis.backbones.space import unit_rows

__all__ = [
    "Choice",
    "Pairs",
    "SharedContrast",
    "choose",
    "choose_by_photos",
    "level",
    "orthonormal",
    "right_share",
    "without",
]

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
DECILES = 10


@dataclass(frozen=True)
class Pairs:
    """The photos of one unit, as rows of a table of features; every strong photo is paired with every other one.

    Attributes:
        strong: `[P]`, photos that excite the unit most.
        weak: `[Q]`, photos that excite it least: the easy pairs.
        middle: `[R]`, photos drawn from each tenth of its distribution: the hard pairs.
        decile: `[R]`, 0 (lowest) to 9, the tenth of each of `middle`.
        strong_activation: `[P]`.
        weak_activation: `[Q]`.
        middle_activation: `[R]`.
    """

    strong: Ints
    weak: Ints
    middle: Ints
    decile: Ints
    strong_activation: Floats
    weak_activation: Floats
    middle_activation: Floats

    @property
    def usable(self) -> bool:
        """Whether there is anything to choose."""
        return len(self.strong) > 0 and len(self.weak) + len(self.middle) > 0


@dataclass(frozen=True)
class Choice:
    """Shares of pairs that were chosen rightly, 0..1; NaN where there was no pair.

    Attributes:
        easy: Strongest against weakest photos.
        hard: Strongest against photos of every tenth, each tenth counted alike.
        by_decile: `[10]`, strongest against photos of each tenth.
    """

    easy: float
    hard: float
    by_decile: Floats = field(default_factory=lambda: np.full(DECILES, np.nan))

    @property
    def share(self) -> float:
        """Mean of easy and hard pairs, or the one there is."""
        found = [value for value in (self.easy, self.hard) if np.isfinite(value)]
        return float(np.mean(found)) if found else float("nan")


def right_share(strong: Floats, other: Floats, strong_activation: Floats, other_activation: Floats) -> float:
    """Return the share of pairs in which the strong photo is the more similar one; a tie counts half.

    Pairs whose activations don't differ (of a unit that fires on a handful of photos) have no right answer and are
    left out.

    Args:
        strong: Similarities of the strong photos to the explanation, `[P]`, or `[P, Q]` where they differ by pair.
        other: Of the photos they are paired with, `[Q]` or `[P, Q]`.
        strong_activation: `[P]`.
        other_activation: `[Q]`.

    >>> right_share(np.array([3.0, 1.0]), np.array([2.0, 0.0]), np.array([9.0, 9.0]), np.array([1.0, 1.0]))
    0.75
    """
    first = strong if strong.ndim == 2 else strong[:, None]
    second = other if other.ndim == 2 else other[None]
    valid = strong_activation[:, None] > other_activation[None]
    if not valid.any():
        return float("nan")
    right = (first > second) + 0.5 * (first == second)
    return float(right[valid].mean())


def choose(pairs: Pairs, space: Floats, explanation: Floats) -> Choice:
    """Return how often an explanation `[D]` leads to the right photo.

    Args:
        pairs: The unit's photos.
        space: Directions of all photos, `[N, D]`.
        explanation: Its direction; need not have length 1.
    """
    return _choice(
        pairs, space[pairs.strong] @ explanation, space[pairs.weak] @ explanation, space[pairs.middle] @ explanation
    )


def choose_by_photos(pairs: Pairs, space: Floats) -> Choice:
    """Return how well the unit's own photos explain it: the mean of its strong photos, without the one in question."""
    strong = space[pairs.strong]
    if len(strong) < 2:
        return Choice(float("nan"), float("nan"))
    others = strong.sum(0) - strong  # [P, D]
    return _choice(
        pairs, np.einsum("pd,pd->p", strong, others), others @ space[pairs.weak].T, others @ space[pairs.middle].T
    )


def _choice(pairs: Pairs, strong: Floats, weak: Floats, middle: Floats) -> Choice:
    easy = right_share(strong, weak, pairs.strong_activation, pairs.weak_activation)
    shares = np.full(DECILES, np.nan)
    for decile in np.unique(pairs.decile):
        own = pairs.decile == decile
        shares[decile] = right_share(strong, middle[..., own], pairs.strong_activation, pairs.middle_activation[own])
    hard = float(np.nanmean(shares)) if np.isfinite(shares).any() else float("nan")
    return Choice(easy, hard, shares)


class SharedContrast:
    """The directions that tell strong photos from others for the units of a site on the whole.

    Args:
        units: Photos of some units of one site: always the same ones, so that a unit's score doesn't depend on which
            others are judged with it.
        space: Directions of all photos, `[N, D]`.
    """

    #: With fewer units than this, what they share can't be told from what each of them looks for.
    ENOUGH = 8

    def __init__(self, units: Sequence[Pairs], space: Floats) -> None:
        contrasts = [_contrast(pairs, space) for pairs in units if pairs.usable]
        self.count = len(contrasts)
        self.total = np.sum(contrasts, axis=0) if contrasts else np.zeros((2, space.shape[1]))

    def basis(self, own: Pairs | None = None, space: Floats | None = None) -> Floats:
        """Return orthonormal directions `[0..2, D]` to project out.

        Args:
            own: A unit that was among `units` and is judged now: it is left out, or it would lose part of what
                tells its own photos apart.
            space: Directions of all photos, with `own`.
        """
        total, count = self.total, self.count
        if own is not None and space is not None and own.usable:
            total, count = total - _contrast(own, space), count - 1
        return orthonormal(total / count if count >= self.ENOUGH else total[:0])


def _contrast(pairs: Pairs, space: Floats) -> Floats:
    """Return the mean of the strong photos less that of the weak, and of the middle ones, `[2, D]`."""
    strong = space[pairs.strong].mean(0)
    return np.stack(
        [strong - space[rows].mean(0) if len(rows) else np.zeros_like(strong) for rows in (pairs.weak, pairs.middle)]
    )


def orthonormal(rows: Floats) -> Floats:
    """Return an orthonormal basis `[0..K, D]` of rows `[K, D]`, in their order (Gram and Schmidt)."""
    basis: list[Floats] = []
    for row in rows:
        for before in basis:
            row = row - (row @ before) * before
        length = np.linalg.norm(row)
        if length > 1e-6:
            basis.append(row / length)
    return np.stack(basis) if basis else np.zeros((0, rows.shape[1]))


def level(directions: Floats, groups: Sequence[Ints], basis: Floats) -> Floats:
    """Return directions `[N, D]` of which each group has the mean 0 along each row of an orthonormal basis `[K, D]`.

    Args:
        directions: Of photos.
        groups: Rows of each group.
        basis: Directions of images that explain nothing.
    """
    levelled = np.array(directions)
    for rows in groups:
        if len(rows):
            levelled[rows] -= (levelled[rows].mean(0) @ basis.T) @ basis
    return levelled


def without(directions: Floats, basis: Floats) -> Floats:
    """Return directions `[..., D]` without their part along an orthonormal basis `[K, D]`, of length 1 again."""
    return unit_rows(directions - (directions @ basis.T) @ basis)
