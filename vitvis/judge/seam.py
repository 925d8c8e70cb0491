"""Seam: does a picture show the patch grid of the model that made it?"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["seam"]


def seam(images: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return the mean gradient across patch borders over that around them, `[N]`: 1 without a grid, more with one.

    The gradient is the absolute difference of neighbouring pixels, left to right across columns and up to down across
    rows, averaged over channels. Around: within half a patch of a border, so that a texture which fades towards the
    edges of the picture, where there are no borders, is no grid.

    Args:
        images: float `[N, 3, H, W]`.
        grid: Rows and columns of patches.

    Returns:
        float32 `[N]`; NaN where there is no patch border or nothing else than borders, or where nothing varies.

    Raises:
        ValueError: more patches than pixels.
    """
    rows, columns = grid
    height, width = images.shape[-2:]
    if rows > height or columns > width:
        raise ValueError(f"{rows} x {columns} patches do not fit into {height} x {width} px")
    images = images.float()
    across = images.diff(dim=-1).abs().mean((1, 2))  # [N, W - 1]
    down = images.diff(dim=-2).abs().mean((1, 3))  # [N, H - 1]
    at_column, by_column = _borders(width, columns)
    at_row, by_row = _borders(height, rows)
    on = height * across[:, at_column].sum(1) + width * down[:, at_row].sum(1)
    off = height * across[:, by_column].sum(1) + width * down[:, by_row].sum(1)
    on_count = height * int(at_column.sum()) + width * int(at_row.sum())
    off_count = height * int(by_column.sum()) + width * int(by_row.sum())
    if not on_count or not off_count:
        return torch.full((len(images),), torch.nan)
    return torch.where(off > 0, (on / on_count) / (off / off_count), torch.nan)


def _borders(size: int, patches: int) -> tuple[Tensor, Tensor]:
    """Say of each of the `size - 1` steps between pixels whether it lies between patches, and whether around that."""
    between = torch.zeros(size - 1, dtype=torch.bool)
    between[[round(patch * size / patches) - 1 for patch in range(1, patches)]] = True
    if not between.any():
        return between, between
    place, half, ends = torch.arange(size - 1), size / patches / 2, between.nonzero()
    return between, ~between & (place >= ends[0] - half) & (place <= ends[-1] + half)
