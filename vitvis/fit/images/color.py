"""Colours that are uncorrelated in photos."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["decorrelation_matrix", "recolor"]

#: Square root of the covariance of RGB over ImageNet's pixels, as published with lucid (Olah, Mordvintsev, Schubert:
#: Feature Visualization, Distill 2017). First column brightness, then blue-yellow-like, then green-magenta-like.
_COVARIANCE_ROOT = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))


def decorrelation_matrix() -> Tensor:
    """Return `[3, 3]`: maps uncorrelated channels to RGB; its longest column has length 1."""
    root = torch.tensor(_COVARIANCE_ROOT)
    return root / root.norm(dim=0).max()


def recolor(images: Tensor, matrix: Tensor) -> Tensor:
    """Map the channels of images `[U, 3, H, W]` by `matrix` `[3, 3]` (output channel, input channel)."""
    return torch.nn.functional.conv2d(images, matrix[:, :, None, None].to(images))
