"""MACO: the magnitude of every frequency is fixed to that of photos, only phases are learned."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vitvis.fit.settings import ImageSettings

from ..keys import keyed_generator
from .base import PARAMETERIZATIONS, Parameterization
from .color import decorrelation_matrix, recolor
from .picture import list_pictures, read_picture
from .spectrum import half_weights, inverse_frequency, mean_magnitude

__all__ = ["PhaseImage"]


@PARAMETERIZATIONS.register("phase")
class PhaseImage(Parameterization):
    """Parameter `[U, C, H, W // 2 + 1]`: phases in radians (Fel et al. 2023, MACO).

    The magnitude is the mean over the pictures of a folder, or `1 / f ** decay` in uncorrelated colours; it is scaled
    so that the image before the sigmoid has a standard deviation of `image.contrast`, whatever the phases
    (Parseval), so nothing is computed over the image at run time. The constant term is left out: mean grey.
    """

    default_lr = 0.3
    magnitude: Tensor
    colors: Tensor

    def __init__(self, size: tuple[int, int], settings: ImageSettings, channels: int = 3) -> None:
        super().__init__(size, settings, channels)
        matrix = decorrelation_matrix() if settings.decorrelate and channels == 3 else torch.eye(channels)
        self.register_buffer("colors", matrix, persistent=False)
        if settings.magnitude is None:
            magnitude = inverse_frequency(self.size, settings.decay).repeat(channels, 1, 1)
        else:
            pictures = (read_picture(path, self.size, channels) for path in list_pictures(settings.magnitude))
            magnitude = mean_magnitude(self._plain(picture[None])[0] for picture in pictures)
        self.register_buffer("magnitude", self._scaled(magnitude), persistent=False)

    def suit(self, depth: float, settings: ImageSettings) -> None:
        """Take another decay, where the magnitude isn't that of photos."""
        if settings.magnitude is None:
            magnitude = inverse_frequency(self.size, settings.decay).repeat(3, 1, 1)
            self.magnitude = self._scaled(magnitude).to(self.magnitude)

    def _scaled(self, magnitude: Tensor) -> Tensor:
        """Bring magnitudes `[3, H, W // 2 + 1]` to the contrast of the settings, whatever the phases (Parseval)."""
        magnitude[:, 0, 0] = 0
        power = (magnitude.square() * half_weights(self.size)).sum(dim=(1, 2)) / math.prod(self.size)
        # Variance over pixels and RGB channels of the recoloured image, channels taken as independent.
        total = (self.colors.cpu().square() @ power).mean().sqrt()
        return magnitude * (self.settings.contrast / total)

    def _plain(self, images: Tensor) -> Tensor:
        """Invert the sigmoid and the colours of images."""
        return recolor(torch.logit(images.to(self.colors), eps=0.01), torch.linalg.inv(self.colors))

    def noise(self, seed: int) -> Tensor:
        """Return phases `[C, H, W // 2 + 1]`, uniform over the circle."""
        shape = (self.channels, self.size[0], self.size[1] // 2 + 1)
        return (torch.rand(shape, generator=keyed_generator(seed, "start")) * 2 - 1) * math.pi

    def invert(self, images: Tensor) -> Tensor:
        """Return the phases of images; their magnitudes are replaced."""
        return torch.fft.rfft2(self._plain(images), norm="ortho").angle()

    def forward(self, parameter: Tensor) -> Tensor:
        """Return images `[U, C, H, W]` in (0, 1)."""
        spectrum = torch.complex(self.magnitude * parameter.cos(), self.magnitude * parameter.sin())
        return torch.sigmoid(recolor(torch.fft.irfft2(spectrum, s=self.size, norm="ortho"), self.colors))
