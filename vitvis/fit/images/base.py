"""What an image parameterisation is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from vitvis.fit.settings import ImageSettings

from ..registry import Registry

__all__ = ["PARAMETERIZATIONS", "Parameterization"]


class Parameterization(nn.Module):
    """Turns a float32 parameter `[U, ...]` into images `[U, C, H, W]` in [0, 1], each row for itself.

    Holds no parameter: constants are buffers, so that they follow the module to its device.

    Args:
        size: rows and columns.
        settings: the group `image` of a recipe.
        channels: C.
    """

    default_lr = 0.05

    def __init__(self, size: tuple[int, int], settings: ImageSettings, channels: int = 3) -> None:
        super().__init__()
        self.channels = channels
        self.size = (int(size[0]), int(size[1]))
        self.settings = settings

    def noise(self, seed: int) -> Tensor:
        """Return one starting parameter `[...]`, drawn on the CPU, the same for the same seed."""
        raise NotImplementedError

    def invert(self, images: Tensor) -> Tensor:
        """Return the parameter `[U, ...]` of given images `[U, C, H, W]` in [0, 1] (as near as it can)."""
        raise NotImplementedError

    def forward(self, parameter: Tensor) -> Tensor:
        """Return images `[U, C, H, W]` in [0, 1]."""
        raise NotImplementedError

    def render(self, parameter: Tensor, progress: float) -> Tensor:
        """Return images `[U, C, H, W]` when `progress` (0..1) of the steps is done; `forward` shows them at the end."""
        return self(parameter)

    def suit(self, depth: float, settings: ImageSettings) -> None:
        """Take on what the units that come next bear.

        Args:
            depth: of their site, 0 (first block) to 1 (last).
            settings: as those of the recipe, but for `decay`, which may be another for classes.
        """

    def project(self, parameter: Tensor) -> None:
        """Bring the parameter back, in place, to where it means an image; called after every step."""

    def start(self, seeds: Sequence[int]) -> Tensor:
        """Return the starting parameter `[U, ...]` for one seed an image, from noise or from the picture."""
        if self.settings.start == "noise":
            drawn = {seed: self.noise(seed) for seed in set(seeds)}
            return torch.stack([drawn[seed] for seed in seeds])
        from .picture import read_picture

        parameter = self.invert(read_picture(self.settings.start, self.size, self.channels)[None])
        return parameter.repeat(len(seeds), *[1] * (parameter.ndim - 1))


class _Maker(Protocol):
    default_lr: float

    def __call__(self, size: tuple[int, int], settings: ImageSettings, channels: int = 3) -> Parameterization: ...


PARAMETERIZATIONS: Registry[_Maker] = Registry("image parameterisation")
