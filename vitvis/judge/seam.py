"""Seam: does a picture show the patch grid of the model that made it?"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["seam"]


def seam(images: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return the mean gradient across patch borders over that elsewhere, `[N]`: 1 without a grid, more with one.

    The gradient is the absolute difference of neighbouring pixels, left to right across columns and up to down across
    rows, averaged over channels.

    Args:
        images: float `[N, 3, H, W]`.
        grid: Rows and columns of patches.

    Returns:
        float32 `[N]`; NaN where every pixel border is a patch border, or where nothing varies.

    Raises:
        ValueError: more patches than pixels.
    """
    rows, columns = grid
    height, width = images.shape[-2:]
    if rows > height or columns > width:
        raise ValueError(f"{rows} x {columns} patches do not fit into {height} x {width} px")
    images = images.float()
    across, down = images.diff(dim=-1).abs().mean(1), images.diff(dim=-2).abs().mean(1)  # [N, H, W - 1], [N, H - 1, W]
    at_column, at_row = _borders(width, columns), _borders(height, rows)
    on = across[:, :, at_column].sum((1, 2)) + down[:, at_row].sum((1, 2))
    off = across[:, :, ~at_column].sum((1, 2)) + down[:, ~at_row].sum((1, 2))
    on_count = height * int(at_column.sum()) + width * int(at_row.sum())
    off_count = height * int((~at_column).sum()) + width * int((~at_row).sum())
    if not on_count or not off_count:
        return torch.full((len(images),), torch.nan)
    return torch.where(off > 0, (on / on_count) / (off / off_count), torch.nan)


def _borders(size: int, patches: int) -> Tensor:
    """Say of each of the `size - 1` borders between pixels whether it lies between two patches."""
    found = torch.zeros(size - 1, dtype=torch.bool)
    for patch in range(1, patches):
        found[round(patch * size / patches) - 1] = True
    return found
