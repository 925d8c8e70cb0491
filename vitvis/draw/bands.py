"""Images of one, two or many channels as people see them: grey, a tile a band, or three chosen bands."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

__all__ = ["show_bands"]

_GAP, _PAPER = 2, 255


def show_bands(pixels: np.ndarray, bands: Sequence[int] | None = None) -> np.ndarray:
    """Return what is drawn of an image.

    Args:
        pixels: uint8 `[H, W, C]`.
        bands: of C, three that stand for red, green and blue; None: an RGB image as it is, one channel in grey, and of
            any other number a grey tile each, row by row, as many rows as columns or one less.

    Returns:
        uint8 `[H', W', 3]`.
    """
    channels = pixels.shape[2]
    if bands is not None:
        return np.ascontiguousarray(pixels[:, :, list(bands)])
    if channels == 3:
        return pixels
    if channels == 1:
        return np.repeat(pixels, 3, axis=2)
    columns = math.ceil(math.sqrt(channels))
    rows = math.ceil(channels / columns)
    height, width = pixels.shape[0] + _GAP, pixels.shape[1] + _GAP
    page = np.full((rows * height - _GAP, columns * width - _GAP), _PAPER, np.uint8)
    for band in range(channels):
        top, left = band // columns * height, band % columns * width
        page[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels[:, :, band]
    return np.repeat(page[:, :, None], 3, axis=2)
