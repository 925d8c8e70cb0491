"""The space in which pictures and photos are compared: an eye's features, measured from and scaled by photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Space", "make_space", "unit_rows"]

Floats = NDArray[np.floating]


def unit_rows(rows: Floats) -> Floats:
    """Return rows `[..., D]` of length 1; rows of zeros stay zeros."""
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-9)


@dataclass(frozen=True)
class Space:
    """How features become directions that can be compared.

    Attributes:
        mean: float `[D]` of the photos.
        scale: float `[D]`, their standard deviation.
        widths: Features of each depth, which add up to D.
    """

    mean: Floats
    scale: Floats
    widths: tuple[int, ...]

    def place(self, features: Floats) -> NDArray[np.float32]:
        """Return directions of length 1, `[N, D]` of features `[N, D]`.

        Each feature is measured from the photos' mean in their standard deviations; each depth is then brought to the
        same length, so that a wide layer does not outvote a narrow one.
        """
        scaled = self._scaled(features)
        parts = np.split(scaled, np.cumsum(self.widths)[:-1], axis=1)
        return unit_rows(np.concatenate([unit_rows(part) for part in parts], 1)).astype(np.float32)

    def deepest(self, features: Floats) -> NDArray[np.float64]:
        """Return the features `[N, d]` of the deepest layer of `[N, D]`, in deviations of photos from their mean."""
        return self._scaled(features)[:, -self.widths[-1] :]

    def _scaled(self, features: Floats) -> NDArray[np.float64]:
        return (np.asarray(features, np.float64) - self.mean) / self.scale


def make_space(photos: Floats, widths: Sequence[int]) -> Space:
    """Return the space of an eye.

    Args:
        photos: Features of photos drawn by chance, `[N, D]`.
        widths: Features of each depth.

    Raises:
        ValueError: fewer than two photos, or widths that don't add up.
    """
    photos = np.asarray(photos, np.float64)
    if photos.ndim != 2 or len(photos) < 2 or photos.shape[1] != sum(widths):
        raise ValueError(f"features of shape {photos.shape} are not those of two photos or more, {sum(widths)} wide")
    scale = photos.std(0)
    floor = 1e-3 * max(float(np.median(scale)), 1e-12)  # a feature that never moves says nothing
    return Space(photos.mean(0), np.maximum(scale, floor), tuple(widths))
