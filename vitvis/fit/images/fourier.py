"""Images as scaled Fourier coefficients in uncorrelated colours."""

from __future__ import annotations

import torch
from torch import Tensor

from vitvis.fit.settings import ImageSettings

from ..keys import keyed_generator
from .base import PARAMETERIZATIONS, Parameterization
from .color import decorrelation_matrix, recolor
from .spectrum import frequencies, inverse_frequency, open_bands

__all__ = ["FourierImage"]


@PARAMETERIZATIONS.register("fourier")
class FourierImage(Parameterization):
    """Parameter `[U, C, H, W // 2 + 1, 2]`: real and imaginary part of each coefficient, before scaling.

    `image = sigmoid(C · irfft2(parameter / f ** decay))`: with equal steps on every coefficient, coarse and fine
    structure grow as they do in photos (Olah, Mordvintsev, Schubert: Feature Visualization, Distill 2017). `decay` may
    grow with the depth of the site (`image.decay_first`), and the coefficients may come in one band after the other,
    coarse ones first (`image.bands`).
    """

    default_lr = 0.1
    scale: Tensor
    colors: Tensor
    frequency: Tensor

    def __init__(self, size: tuple[int, int], settings: ImageSettings, channels: int = 3) -> None:
        super().__init__(size, settings, channels)
        self.register_buffer("scale", self._scale(settings.decay), persistent=False)
        self.register_buffer("frequency", frequencies(self.size), persistent=False)
        matrix = decorrelation_matrix() if settings.decorrelate and channels == 3 else torch.eye(channels)
        self.register_buffer("colors", matrix, persistent=False)

    def _scale(self, decay: float) -> Tensor:
        """Return what coefficients are multiplied by; a quarter is lucid's constant, meant with its learning rates."""
        return inverse_frequency(self.size, decay) / 4

    def suit(self, depth: float, settings: ImageSettings) -> None:
        """Take the decay that belongs to a depth: from `decay_first` at the first block in a line to `decay`."""
        first, last = settings.decay_first, settings.decay
        self.scale = self._scale(last if first is None else first + (last - first) * depth).to(self.scale)

    def noise(self, seed: int) -> Tensor:
        """Return normal coefficients `[C, H, W // 2 + 1, 2]` of standard deviation `image.std`."""
        shape = (self.channels, self.size[0], self.size[1] // 2 + 1, 2)
        return torch.randn(shape, generator=keyed_generator(seed, "start")) * self.settings.std

    def invert(self, images: Tensor) -> Tensor:
        """Return the coefficients of images; values within 1 % of black and white are pulled in."""
        logits = torch.logit(images.to(self.scale), eps=0.01)
        plain = recolor(logits, torch.linalg.inv(self.colors))
        return torch.view_as_real(torch.fft.rfft2(plain, norm="ortho") / self.scale).contiguous()

    def forward(self, parameter: Tensor) -> Tensor:
        """Return images `[U, C, H, W]` in (0, 1)."""
        return self._draw(parameter, self.scale)

    def render(self, parameter: Tensor, progress: float) -> Tensor:
        """Return images of the bands that are open when `progress` (0..1) of the steps is done."""
        bands = self.settings.bands
        if progress >= bands:
            return self(parameter)
        return self._draw(parameter, self.scale * open_bands(self.frequency, self.size, progress / bands))

    def _draw(self, parameter: Tensor, scale: Tensor) -> Tensor:
        spectrum = torch.view_as_complex(parameter) * scale
        return torch.sigmoid(recolor(torch.fft.irfft2(spectrum, s=self.size, norm="ortho"), self.colors))
