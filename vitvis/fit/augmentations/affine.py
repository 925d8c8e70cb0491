"""Shift, rotate and zoom in one interpolation."""

from __future__ import annotations

import math

import torch
from kornia.geometry.transform import warp_affine
from torch import Generator, Tensor

from vitvis.fit.settings import AffineSettings

from .base import Augmentation, Draw

__all__ = ["Affine", "affine_matrix"]


def affine_matrix(size: tuple[int, int], shift: Tensor, angle: Tensor, zoom: Tensor) -> Tensor:
    """Return the matrix that turns and zooms about the middle of an image, then shifts it.

    Args:
        size: rows and columns.
        shift: `[..., 2]`, columns and rows, pixels.
        angle: `[...]`, radians, counter-clockwise on the screen.
        zoom: `[...]`, factor; above 1 things get larger.

    Returns:
        `[..., 2, 3]`.
    """
    x, y = (size[1] - 1) / 2, (size[0] - 1) / 2
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    across = torch.stack([cos, sin, x + shift[..., 0] - cos * x - sin * y], dim=-1)
    down = torch.stack([-sin, cos, y + shift[..., 1] + sin * x - cos * y], dim=-1)
    return torch.stack([across, down], dim=-2)


class Affine(Augmentation):
    """Uniform shift and angle, zoom uniform in its logarithm; reflected at the border, never black (kornia).

    Args:
        settings: the ranges.
        depth: of the site, 0 (first block) to 1 (last).
    """

    name = "affine"
    graded = True

    def __init__(self, settings: AffineSettings, depth: float = 1.0) -> None:
        self.settings = settings
        self.reach = max(settings.least, depth) if settings.by_depth else 1.0

    def strength(self, progress: float) -> float:
        """Return the factor 1..0 of all ranges when `progress` (0..1) of the steps is done."""
        fade = self.settings.fade
        if fade is None:
            return self.reach
        return self.reach * max(0.0, 1 - progress / fade) if fade > 0 else 0.0

    def active(self, progress: float) -> bool:
        """Be off once it has faded: an interpolation that moves nothing would only blur."""
        return self.strength(progress) > 0

    def draw(self, size: tuple[int, int], progress: float, generator: Generator) -> Draw:
        """Draw `move` `[4]`: shift by columns and rows (px), angle (radians), logarithm of the zoom."""
        settings = self.settings
        ranges = torch.tensor([settings.shift, settings.shift, math.radians(settings.rotate), math.log(settings.zoom)])
        return {"move": (torch.rand(4, generator=generator) * 2 - 1) * self.strength(progress) * ranges}

    def apply(self, copies: Tensor, draws: Draw) -> Tensor:
        """Warp every copy."""
        size = (copies.shape[-2], copies.shape[-1])
        move = draws["move"] * draws["strength"] if "strength" in draws else draws["move"]
        matrix = affine_matrix(size, move[..., :2], move[..., 2], move[..., 3].exp())
        matrix = matrix.expand(*copies.shape[:2], 2, 3).flatten(0, 1)
        warped = warp_affine(copies.flatten(0, 1), matrix, size, padding_mode="reflection", align_corners=True)
        return warped.unflatten(0, copies.shape[:2])
