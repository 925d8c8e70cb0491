"""Naturalness: what tells pictures from photos without asking what they show."""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor, nn

from vitvis.backbones.neutral import own_randomness

__all__ = ["clipped", "kernel_distance", "radial_spectrum", "spectrum_distance"]

_DEGREE = 3


def clipped(images: Tensor) -> Tensor:
    """Return the share of values at either end of the range, `[N]` of images `[N, 3, H, W]` in [0, 1], 8 bits deep."""
    return ((images <= 0.5 / 255) | (images >= 1 - 0.5 / 255)).float().mean((1, 2, 3))


def radial_spectrum(images: Tensor) -> Tensor:
    """Return energy by spatial frequency in decibels, whatever the contrast.

    Energy of the three channels, less their mean colour, averaged over rings one cycle per image wide up to Nyquist of
    the shorter side; each image's spectrum is divided by its sum, so that only its shape counts.

    Args:
        images: float `[N, 3, H, W]`.

    Returns:
        float32 `[N, min(H, W) // 2]`, ring 0 being one cycle per image; an image without contrast has a flat one.
    """
    height, width = images.shape[-2:]
    rings = min(height, width) // 2
    centred = images.double() - images.double().mean((-2, -1), keepdim=True)
    energy = torch.fft.fft2(centred, norm="ortho").abs().square().sum(1)  # [N, H, W]
    scale = min(height, width)
    radius = torch.hypot(torch.fft.fftfreq(height)[:, None] * scale, torch.fft.fftfreq(width)[None] * scale)
    ring = radius.round().long().flatten()
    inside = (ring >= 1) & (ring <= rings)
    sums = torch.zeros(len(images), rings + 1, dtype=torch.float64, device=images.device)
    index = ring[inside].to(images.device)
    sums.index_add_(1, index, energy.flatten(1)[:, inside.to(images.device)])
    means = sums[:, 1:] / torch.bincount(index, minlength=rings + 1)[1:].clamp(min=1)
    means = torch.where(means.sum(1, keepdim=True) > 1e-12, means, torch.ones_like(means))
    shares = means / means.sum(1, keepdim=True)
    return (10 * shares.clamp(min=1e-12).log10()).float()


def spectrum_distance(spectra: Tensor, photos: Tensor) -> Tensor:
    """Return how far spectra `[N, R]` lie from the mean of photos' spectra `[M, R]`: root mean square over rings, dB.

    Rings are counted by octave (ring r with weight 1 / r), as the eye does, not by their number: half of all rings
    lie above half of Nyquist.
    """
    weights = 1 / torch.arange(1, spectra.shape[1] + 1, dtype=torch.float32, device=spectra.device)
    gap = (spectra - photos.mean(0)).square()
    return ((gap * weights).sum(1) / weights.sum()).sqrt()


def kernel_distance(
    pictures: Tensor, photos: Tensor, *, subset: int = 100, subsets: int = 50, seed: int = 0
) -> tuple[float, float] | None:
    """Return the Kernel Inception Distance of two sets of features, unbiased, and its spread over subsets.

    Bińkowski et al. 2018, `k(x, y) = (x . y / D + 1)^3`, by torchmetrics, on the judge's features, not Inception's.

    Args:
        pictures: float `[N, D]`.
        photos: float `[M, D]`.
        subset: Images of each set in a subset; fewer where a set is smaller.
        subsets: Subsets whose mean is taken.
        seed: Of their draw.

    Returns:
        Mean and standard deviation; None with fewer than ten images on either side, which would say nothing.
    """
    from torchmetrics.image.kid import KernelInceptionDistance

    size = min(subset, len(pictures), len(photos))
    if size < 10:
        return None
    with warnings.catch_warnings(), own_randomness(seed):
        warnings.simplefilter("ignore", UserWarning)  # that it keeps all features
        metric = KernelInceptionDistance(nn.Identity(), subsets=subsets, subset_size=size, degree=_DEGREE)
        metric.update(photos.double(), real=True)
        metric.update(pictures.double(), real=False)
        mean, spread = metric.compute()
    return (float(mean), float(spread)) if math.isfinite(float(mean)) else None
