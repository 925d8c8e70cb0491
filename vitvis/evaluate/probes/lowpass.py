"""Accuracy against the cut-off of a low-pass filter (finding 5 of the work: ViTs lose little, ResNets much)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vitvis.evaluate.probes.base import Outcome, Probe

if TYPE_CHECKING:
    from vitvis.backbones import Backbone

__all__ = ["LowpassProbe", "lowpass"]


def frequencies(size: tuple[int, int], device: torch.device | str = "cpu") -> Tensor:
    """Return the radial frequency of each coefficient of `rfft2`, in cycles per image, `[H, W // 2 + 1]`."""
    rows = torch.fft.fftfreq(size[0], d=1 / size[0], device=device)
    columns = torch.fft.rfftfreq(size[1], d=1 / size[1], device=device)
    return torch.hypot(rows[:, None], columns[None, :])


def lowpass(images: Tensor, radius: float) -> Tensor:
    """Keep the spatial frequencies of up to `radius` cycles per image; a sharp edge in the Fourier plane.

    The filter acts on what the model is about to see: after its resize and crop, in [0, 1], before normalising. A sharp
    filter rings, and what leaves [0, 1] is clamped, since no picture has such pixels.

    Args:
        images: `[..., H, W]` in [0, 1].
        radius: Cycles per image; half the side and more keeps every frequency along the axes, 0 keeps the mean alone.

    Returns:
        `[..., H, W]` in [0, 1].
    """
    size = (images.shape[-2], images.shape[-1])
    spectrum = torch.fft.rfft2(images.float())
    keep = frequencies(size, images.device) <= radius
    return torch.fft.irfft2(spectrum * keep, s=size).clamp(0, 1)


class LowpassProbe(Probe):
    """Classifies images under low-pass filters.

    Args:
        radii: Cut-offs in cycles per image.
    """

    def __init__(self, radii: Sequence[float]) -> None:
        self.radii = sorted(set(float(radius) for radius in radii))

    def names(self, backbone: Backbone) -> list[str]:
        """Return `full` and a name for each radius, small ones first."""
        return ["full", *(f"radius {radius:g}" for radius in self.radii)]

    def run(self, backbone: Backbone, images: Tensor, variant: Tensor) -> Iterator[Outcome]:
        """Classify the images as they are, then under each filter."""
        yield Outcome(torch.zeros_like(variant), backbone(images))
        for number, radius in enumerate(self.radii, start=1):
            yield Outcome(torch.full_like(variant, number), backbone(lowpass(images, radius)))
