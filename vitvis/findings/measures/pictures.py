"""How complex a picture is."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["bits_per_pixel", "frequencies_used"]


def bits_per_pixel(image: Image, quality: int = 75) -> float:
    """Return the size of a picture as a JPEG, in bits a pixel; what every such file holds (its tables) is taken off.

    Noise costs most, so this says how much there is to tell, not how much of it means something.
    """
    return 8 * (_jpeg_size(image, quality) - _empty_size(image, quality)) / (image.width * image.height)


def frequencies_used(image: Image) -> float:
    """Return the number of spatial frequencies that carry a picture, as a share of all that there are, 0..1.

    The exponential of the entropy of the power spectrum of its brightness, mean left out, over the number of
    coefficients. A grating has `2 / (H W - 1)`, white noise about `exp(Euler's gamma - 1)`, which is 0.66; a flat
    picture 0.
    """
    pixels = np.asarray(image.convert("F"), dtype=np.float64)
    power = np.abs(np.fft.fft2(pixels - pixels.mean())) ** 2
    power.flat[0] = 0
    total = power.sum()
    if total < 1e-9 * pixels.size:
        return 0.0
    shares = power[power > 0] / total
    return float(np.exp(-(shares * np.log(shares)).sum()) / (pixels.size - 1))


def _jpeg_size(image: Image, quality: int) -> int:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, format="JPEG", quality=quality, subsampling=0)
    return buffer.tell()


def _empty_size(image: Image, quality: int) -> int:
    from PIL import Image as images

    return _jpeg_size(images.new("RGB", image.size, (128, 128, 128)), quality)
