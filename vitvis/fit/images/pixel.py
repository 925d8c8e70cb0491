"""The paper's image: pixels, clamped after every step."""

from __future__ import annotations

import torch
from torch import Tensor

from ..keys import keyed_generator
from .base import PARAMETERIZATIONS, Parameterization

__all__ = ["PixelImage"]


@PARAMETERIZATIONS.register("pixel")
class PixelImage(Parameterization):
    """Parameter = image `[U, C, H, W]`; starts as U(0, 1) noise (Ghiasi et al. 2022, section 3)."""

    default_lr = 0.1

    def noise(self, seed: int) -> Tensor:
        """Return U(0, 1) noise `[C, H, W]`."""
        return torch.rand(self.channels, *self.size, generator=keyed_generator(seed, "start"))

    def invert(self, images: Tensor) -> Tensor:
        """Return the images."""
        return images.clone()

    def forward(self, parameter: Tensor) -> Tensor:
        """Return the parameter itself: `project` keeps it in [0, 1]."""
        return parameter

    def project(self, parameter: Tensor) -> None:
        """Clamp to [0, 1]."""
        parameter.clamp_(0, 1)
