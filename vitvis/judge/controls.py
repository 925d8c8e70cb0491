"""Images that explain no unit: noise and plain grey, as a judge sees them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from vitvis.backbones.eye import Eye
from vitvis.backbones.space import Space

__all__ = ["blank_directions", "noise_directions"]

_IMAGES = 8
_OWN_SEED = 2**31 - 1  # of the noise along which photos are levelled; the noise that is tried is another


def noise_directions(eye: Eye, space: Space, size: Sequence[int], seed: int) -> NDArray[np.float32]:
    """Return directions `[8, D]` of images of white noise, uniform in [0, 1], of rows and columns `size`."""
    device = next(eye.backbone.buffers()).device
    noise = torch.rand(_IMAGES, 3, *(int(side) for side in size), generator=torch.Generator().manual_seed(seed))
    return space.place(eye.look(noise.to(device)).features.cpu().numpy())


def blank_directions(eye: Eye, space: Space, size: Sequence[int]) -> NDArray[np.float32]:
    """Return the directions `[2, D]` of white noise (the mean of eight images) and of plain grey."""
    device = next(eye.backbone.buffers()).device
    grey = torch.full((1, 3, *(int(side) for side in size)), 0.5, device=device)
    noise = noise_directions(eye, space, size, _OWN_SEED).mean(0, keepdims=True)
    return np.concatenate([noise, space.place(eye.look(grey).features.cpu().numpy())])
