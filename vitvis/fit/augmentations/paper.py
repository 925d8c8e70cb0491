"""The augmentations of Ghiasi et al. 2022: colour shift, noise, cyclic shift (and copies themselves)."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from vitvis.fit.settings import ColorSettings, NoiseSettings, ShiftSettings

from .base import Augmentation, Draw

__all__ = ["ColorShift", "CyclicShift", "GaussianNoise"]


class ColorShift(Augmentation):
    """`(x - mu) / sigma` per copy and channel: mu ~ U(-mean, mean), sigma ~ exp(U(-log_std, log_std))."""

    name = "color"

    def __init__(self, settings: ColorSettings) -> None:
        self.settings = settings

    def draw(self, size: tuple[int, int], progress: float, generator: Generator) -> Draw:
        """Draw mu and sigma, `[C, 1, 1]` each."""
        mean = (torch.rand(self.channels, 1, 1, generator=generator) * 2 - 1) * self.settings.mean
        log_std = (torch.rand(self.channels, 1, 1, generator=generator) * 2 - 1) * self.settings.log_std
        return {"mean": mean, "std": log_std.exp()}

    def apply(self, copies: Tensor, draws: Draw) -> Tensor:
        """Shift and scale the channels; the result leaves [0, 1], as in the paper."""
        return (copies - draws["mean"]) / draws["std"]


class GaussianNoise(Augmentation):
    """Adds normal noise of standard deviation `start + (end - start) * progress`, per pixel or per channel."""

    name = "noise"
    graded = True

    def __init__(self, settings: NoiseSettings) -> None:
        self.settings = settings

    def draw(self, size: tuple[int, int], progress: float, generator: Generator) -> Draw:
        """Draw the noise `[C, H, W]` or `[C, 1, 1]`."""
        shape = (self.channels, *size) if self.settings.per == "pixel" else (self.channels, 1, 1)
        std = self.settings.start + (self.settings.end - self.settings.start) * progress
        return {"noise": torch.randn(shape, generator=generator) * std}

    def apply(self, copies: Tensor, draws: Draw) -> Tensor:
        """Add the noise."""
        noise = draws["noise"]
        return copies + (noise * draws["strength"][..., None, None] if "strength" in draws else noise)


class CyclicShift(Augmentation):
    """Rolls the image by up to `pixels` in each direction; what leaves on one side comes in on the other."""

    name = "shift"

    def __init__(self, settings: ShiftSettings) -> None:
        self.settings = settings
        self.shared = settings.shared

    def draw(self, size: tuple[int, int], progress: float, generator: Generator) -> Draw:
        """Draw rows and columns to roll by as the source index of every row `[H]` and column `[W]`."""
        limit = self.settings.pixels
        shifts = torch.randint(-limit, limit + 1, (2,), generator=generator)
        return {
            name: (torch.arange(n) - shifts[axis]) % n for axis, (name, n) in enumerate(zip("yx", size, strict=True))
        }

    def apply(self, copies: Tensor, draws: Draw) -> Tensor:
        """Roll by gathering, so that no shift has to come back from the device."""
        rows, columns = draws["y"], draws["x"]
        if rows.shape[:2] == (1, 1) or (self.shared and rows.shape[0] == 1):
            return copies.index_select(-2, rows[0, 0]).index_select(-1, columns[0, 0])
        shape = copies.shape
        copies = copies.gather(-2, rows[:, :, None, :, None].expand(shape))
        return copies.gather(-1, columns[:, :, None, None, :].expand(shape))
