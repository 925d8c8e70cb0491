"""The tiles of all units of a backbone at one small size, on the disk rather than in memory."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["SIDE", "Tiles"]

#: Side of a tile in px.
SIDE = 64


class Tiles:
    """Tiles of N units; the file behind them goes with the object.

    Args:
        count: N.

    Attributes:
        pixels: uint8 `[N, 64, 64, 3]`.
        present: bool `[N]`, which have been put.
    """

    def __init__(self, count: int) -> None:
        self._file = tempfile.TemporaryFile()
        shape = (count, SIDE, SIDE, 3)
        self.pixels: NDArray[np.uint8] = (
            np.memmap(self._file, np.uint8, "w+", shape=shape) if count else np.zeros(shape, np.uint8)
        )
        self.present = np.zeros(count, bool)

    def put(self, place: int, sprite: Image.Image) -> None:
        """Put a square picture of any size."""
        self.pixels[place] = _square(sprite)
        self.present[place] = True

    @staticmethod
    def read(path: Path | None) -> NDArray[np.uint8] | None:
        """Return the middle of a picture file as a tile; None where it can't be read."""
        if path is None:
            return None
        try:
            with Image.open(path) as image:
                picture = image.convert("RGB")
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            return None
        side = min(picture.size)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        return _square(picture.crop((left, top, left + side, top + side)))


def _square(picture: Image.Image) -> NDArray[np.uint8]:
    if picture.size != (SIDE, SIDE):
        picture = picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.asarray(picture, np.uint8)
