"""Boxes of a larger image, brought to the model's size without aliasing."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from vitvis.fit.settings import CropSettings

from .base import Augmentation, Draw

__all__ = ["Crop", "resample", "resample_matrix"]


def _cubic(x: Tensor) -> Tensor:
    """Return Keys' cubic kernel with a = -0.5, the one of antialiased bicubic resizing; 0 beyond two."""
    x = x.abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))


def resample_matrix(start: Tensor, length: Tensor, source: int, target: int) -> Tensor:
    """Return the matrix that cuts a piece out of a row of pixels and resizes it.

    Antialiased bicubic, as `torch.nn.functional.interpolate(..., antialias=True)` has it, for pieces that may begin
    and end between pixels; where a kernel reaches past the ends of the row, the rest of it counts in full.

    Args:
        start: `[...]`, where the piece begins, pixels of the source from its first edge.
        length: `[...]`, of the piece, pixels.
        source: pixels of the row.
        target: pixels of the result.

    Returns:
        `[..., target, source]`; its rows add up to 1.
    """
    scale = (length / target)[..., None, None]
    middles = torch.arange(target, device=start.device)[:, None] + 0.5
    pixels = torch.arange(source, device=start.device)[None] + 0.5
    weights = _cubic((pixels - start[..., None, None] - middles * scale) / scale.clamp_min(1))
    return weights / weights.sum(dim=-1, keepdim=True)


def resample(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Resize images `[..., 3, H, W]` by matrices `[..., H', H]` and `[..., W', W]`: `[..., 3, H', W']`."""
    return rows[..., None, :, :] @ images @ columns[..., None, :, :].transpose(-1, -2)


class Crop(Augmentation):
    """Side uniform in `smallest`..`largest`, middle normal about that of the image and kept so that the box is inside.

    Horama takes six such boxes a step of 20 to 25 % of a canvas, Xplique 32 of 50 down to 5 %.

    Args:
        settings: the ranges.
        size: rows and columns that come out; those of the image when None.
        depth: of the site, 0 (first block) to 1 (last).
    """

    name = "crop"
    graded = True

    def __init__(self, settings: CropSettings, size: tuple[int, int] | None = None, depth: float = 1.0) -> None:
        self.settings = settings
        self.size = size
        self.reach = depth if settings.by_depth else 1.0

    def draw(self, size: tuple[int, int], progress: float, generator: Generator) -> Draw:
        """Draw one `box` `[3]`: what of the side is left out (0..1), and where the middle lies, rows and columns."""
        settings = self.settings
        side = settings.smallest + (settings.largest - settings.smallest) * torch.rand(1, generator=generator)
        middle = 0.5 + settings.spread * torch.randn(2, generator=generator)
        return {"box": torch.cat([(1 - side) * self.reach, middle])}

    def apply(self, copies: Tensor, draws: Draw) -> Tensor:
        """Cut and resize; returns `[U, A, 3, rows, columns]` of the model."""
        left_out = draws["box"][..., 0]
        if "strength" in draws:
            left_out = left_out * draws["strength"][..., 0]
        matrices = []
        for axis, source in enumerate(copies.shape[-2:]):
            target = source if self.size is None else self.size[axis]
            share = 1 - left_out
            first = torch.minimum((draws["box"][..., 1 + axis] - share / 2).clamp_min(0), left_out)
            matrices.append(resample_matrix(first * source, share * source, source, target).to(copies.dtype))
        return resample(copies, *matrices)
