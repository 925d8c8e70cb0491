"""Frequencies of an image, and what natural images have at each."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

__all__ = ["frequencies", "half_weights", "inverse_frequency", "mean_magnitude", "open_bands"]


def frequencies(size: tuple[int, int]) -> Tensor:
    """Return the radial frequency `[H, W // 2 + 1]` of every coefficient of `rfft2`, in cycles a pixel (0..0.71)."""
    rows = torch.fft.fftfreq(size[0])[:, None]
    columns = torch.fft.rfftfreq(size[1])[None, :]
    return (rows.square() + columns.square()).sqrt()


def inverse_frequency(size: tuple[int, int], decay: float) -> Tensor:
    """Return `1 / f ** decay` `[H, W // 2 + 1]`, with f at least that of one cycle an image.

    The scaling of natural images' amplitudes (decay 1); a decay other than 1 keeps the total power of decay 1, so
    that it shifts power between coarse and fine and not the contrast.
    """
    lowest = frequencies(size).clamp_min(1 / max(size))
    plain, wanted = 1 / lowest, lowest**-decay
    weights = half_weights(size)
    return wanted * ((plain.square() * weights).sum() / (wanted.square() * weights).sum()).sqrt()


#: Cycles an image that coarse-to-fine begins with.
COARSEST = 4


def open_bands(frequency: Tensor, size: tuple[int, int], opened: float) -> Tensor:
    """Return how far each frequency is let in, 0..1, coarse ones first.

    The cutoff rises from four cycles an image (`opened` 0) to the highest frequency there is (1) by equal factors in
    equal times; from it the weight falls in a line to 0 at one and a half times the cutoff.

    Args:
        frequency: `[H, W // 2 + 1]`, cycles a pixel.
        size: rows and columns.
        opened: 0..1.
    """
    low, top = COARSEST / max(size), 0.5 * 2**0.5
    cutoff = low * (top / low) ** opened
    return (3 - 2 * frequency / cutoff).clamp(0, 1)


def half_weights(size: tuple[int, int]) -> Tensor:
    """Return how many coefficients of the full spectrum each of `rfft2` stands for, `[1, W // 2 + 1]` (1 or 2)."""
    weights = torch.full((1, size[1] // 2 + 1), 2.0)
    weights[:, 0] = 1
    if size[1] % 2 == 0:
        weights[:, -1] = 1
    return weights


def mean_magnitude(images: Iterable[Tensor]) -> Tensor:
    """Return the mean over images `[3, H, W]` of the magnitude of their `rfft2`: `[3, H, W // 2 + 1]`.

    Fel et al.: Unlocking Feature Visualization for Deep Networks with MAgnitude Constrained Optimization, 2023.
    """
    total, count = None, 0
    for image in images:
        magnitude = torch.fft.rfft2(image, norm="ortho").abs()
        total = magnitude if total is None else total + magnitude
        count += 1
    if total is None:
        raise ValueError("no images to take a magnitude from")
    return total / count
