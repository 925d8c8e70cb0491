"""Images as scaled Fourier coefficients in uncorrelated colours."""

from __future__ import annotations

import torch
from torch import Tensor

from vitvis.fit.settings import ImageSettings

from ..keys import keyed_generator
from .base import PARAMETERIZATIONS, Parameterization
from .color import decorrelation_matrix, recolor
from .spectrum import inverse_frequency

__all__ = ["FourierImage"]


@PARAMETERIZATIONS.register("fourier")
class FourierImage(Parameterization):
    """Parameter `[U, 3, H, W // 2 + 1, 2]`: real and imaginary part of each coefficient, before scaling.

    `image = sigmoid(C · irfft2(parameter / f ** decay))`: with equal steps on every coefficient, coarse and fine
    structure grow as they do in photos (Olah, Mordvintsev, Schubert: Feature Visualization, Distill 2017).
    """

    default_lr = 0.2
    scale: Tensor
    colors: Tensor

    def __init__(self, size: tuple[int, int], settings: ImageSettings) -> None:
        super().__init__(size, settings)
        # A quarter: lucid's constant, with which its learning rates are meant.
        self.register_buffer("scale", inverse_frequency(self.size, settings.decay) / 4, persistent=False)
        matrix = decorrelation_matrix() if settings.decorrelate else torch.eye(3)
        self.register_buffer("colors", matrix, persistent=False)

    def noise(self, seed: int) -> Tensor:
        """Return normal coefficients `[3, H, W // 2 + 1, 2]` of standard deviation `image.std`."""
        shape = (3, self.size[0], self.size[1] // 2 + 1, 2)
        return torch.randn(shape, generator=keyed_generator(seed, "start")) * self.settings.std

    def invert(self, images: Tensor) -> Tensor:
        """Return the coefficients of images; values within 1 % of black and white are pulled in."""
        logits = torch.logit(images.to(self.scale), eps=0.01)
        plain = recolor(logits, torch.linalg.inv(self.colors))
        return torch.view_as_real(torch.fft.rfft2(plain, norm="ortho") / self.scale).contiguous()

    def forward(self, parameter: Tensor) -> Tensor:
        """Return images `[U, 3, H, W]` in (0, 1)."""
        spectrum = torch.view_as_complex(parameter) * self.scale
        return torch.sigmoid(recolor(torch.fft.irfft2(spectrum, s=self.size, norm="ortho"), self.colors))
