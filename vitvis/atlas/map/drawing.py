"""The pictures of a map: one of all units, and blocks of 8 x 8 units for those who come closer."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vitvis.atlas.map.tiles import SIDE, Tiles

__all__ = ["BLOCK", "draw_blocks", "draw_overview", "overview_side"]

#: Cells along a side of a block.
BLOCK = 8
_WIDEST = 1664  # px of the overview: one picture that is there at once
_CHUNK = 512


def overview_side(rows: int, columns: int) -> int:
    """Return the side of a tile in the overview, px."""
    return max(3, min(SIDE, _WIDEST // max(rows, columns)))


def draw_overview(tiles: Tiles, cells: NDArray[np.int64], rows: int, columns: int) -> Image.Image:
    """Return all tiles in their cells, RGBA; empty cells let the page through."""
    side = overview_side(rows, columns)
    canvas = np.zeros((rows * side, columns * side, 4), np.uint8)
    drawn = np.flatnonzero(tiles.present)
    for start in range(0, len(drawn), _CHUNK):
        own = drawn[start : start + _CHUNK]
        # one tall picture holds them all: Pillow's box filter is faster than a call for each, and exact by rows
        stack = Image.fromarray(np.asarray(tiles.pixels[own]).reshape(-1, SIDE, 3))
        small = np.asarray(stack.resize((side, side * len(own)), Image.Resampling.BOX)).reshape(-1, side, side, 3)
        for unit, picture in zip(own, small, strict=True):
            row, column = divmod(int(cells[unit]), columns)
            cell = canvas[row * side : (row + 1) * side, column * side : (column + 1) * side]
            cell[..., :3], cell[..., 3] = picture, 255
    return Image.fromarray(canvas, "RGBA")


def draw_blocks(
    tiles: Tiles, cells: NDArray[np.int64], rows: int, columns: int
) -> Iterator[tuple[int, int, Image.Image]]:
    """Return row, column and picture of each block of 8 x 8 cells, tiles at 64 px; none where all cells are empty."""
    unit_at = np.full(rows * columns, -1)
    unit_at[cells[tiles.present]] = np.flatnonzero(tiles.present)
    grid = unit_at.reshape(rows, columns)
    for top in range(0, rows, BLOCK):
        for left in range(0, columns, BLOCK):
            own = grid[top : top + BLOCK, left : left + BLOCK]
            if (own < 0).all():
                continue
            canvas = np.zeros((own.shape[0] * SIDE, own.shape[1] * SIDE, 4), np.uint8)
            for (row, column), unit in np.ndenumerate(own):
                if unit >= 0:
                    cell = canvas[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE]
                    cell[..., :3], cell[..., 3] = tiles.pixels[unit], 255
            yield top // BLOCK, left // BLOCK, Image.fromarray(canvas, "RGBA")


def to_webp(image: Image.Image, quality: int) -> bytes:
    """Return a picture as WebP, without an alpha channel where all of it is opaque."""
    opaque = image.getextrema()[-1] == (255, 255)
    buffer = io.BytesIO()
    (image.convert("RGB") if opaque else image).save(buffer, "WEBP", quality=quality, method=2)
    return buffer.getvalue()
