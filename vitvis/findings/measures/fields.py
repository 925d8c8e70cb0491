"""Where a unit looks: the gradient of one token of a unit with respect to the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from vitvis.backbones import Tap, Unit, read_units

if TYPE_CHECKING:
    from vitvis.backbones import Backbone, Site

__all__ = ["box_share", "gradient_energy", "square_side"]

Floats = np.ndarray


def gradient_energy(backbone: Backbone, site: Site, unit: Unit, images: Tensor, tokens: Sequence[int]) -> Floats:
    """Return the squared gradient of a unit at one token of each image, summed over colours.

    It is the effective receptive field of Luo et al. (2016, arXiv 1701.04128), for photos that excite the unit.

    Args:
        backbone: The model.
        site: Of the unit.
        unit: One unit.
        images: `[B, 3, H, W]` in [0, 1].
        tokens: A patch for each image, row-major.

    Returns:
        float64 `[B, H, W]`; 0 everywhere where the unit does not fire and has no slope.
    """
    pixels = images.detach().clone().requires_grad_(True)
    with torch.enable_grad(), Tap(backbone, [site]) as tap:
        values = read_units(tap(pixels)[site.name], [unit], site)[..., 0]
        places = torch.as_tensor(tokens, device=values.device) + site.prefix_tokens
        (gradient,) = torch.autograd.grad(values[torch.arange(len(values)), places].sum(), pixels)
    return gradient.double().square().sum(dim=1).cpu().numpy()


def square_side(energy: Floats, centre: tuple[float, float], share: float = 0.5) -> float:
    """Return the side in px of the square around a point that holds a share of the energy.

    The square is cut off at the borders of the image; its side is the root of the area that is left, so that energy
    spread evenly over the image gives `sqrt(share * H * W)` wherever the point lies.

    Args:
        energy: `[H, W]`, not negative.
        centre: Row and column in px, from the upper left corner of the image.
        share: 0..1.

    Returns:
        The side, interpolated between squares that grow by a pixel on each side; NaN without any energy.
    """
    height, width = energy.shape
    total = float(energy.sum())
    if not total > 0:
        return float("nan")
    rows, columns = np.arange(height) + 0.5 - centre[0], np.arange(width) + 0.5 - centre[1]
    ring = np.ceil(np.maximum(np.abs(rows)[:, None], np.abs(columns)[None, :]) - 0.5 + 1e-9).astype(int).clip(0)
    inside = np.cumsum(np.bincount(ring.ravel(), energy.ravel())) / total
    area = np.cumsum(np.bincount(ring.ravel()))
    whole = int(np.argmax(inside >= 1 - 1e-12)) + 1  # nothing is gained beyond the square that holds it all
    points = np.concatenate([[0.0], inside[:whole]]), np.concatenate([[0.0], area[:whole]])
    return float(np.sqrt(np.interp(share, *points)))


def box_share(energy: Floats, centre: tuple[float, float], side: float) -> tuple[float, float]:
    """Return the share of the energy within a square around a point, and the share of the image that it covers.

    Args:
        energy: `[H, W]`, not negative.
        centre: Row and column in px, from the upper left corner of the image.
        side: Of the square, in px; what hangs over the border is cut off.

    Returns:
        Both 0..1; the first is NaN without any energy.
    """
    (top, bottom), (left, right) = ((max(0, round(at - side / 2)), round(at + side / 2)) for at in centre)
    total, inside = float(energy.sum()), energy[top:bottom, left:right]
    return (float(inside.sum()) / total if total > 0 else float("nan")), inside.size / energy.size
