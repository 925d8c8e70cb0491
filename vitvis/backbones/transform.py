"""A model's own evaluation transform, as an object that other processes can be handed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from PIL import Image
from torch import Tensor

__all__ = ["EvalTransform"]


class EvalTransform:
    """Resize and crop of a model, without its normalisation; pickles, so that workers may be started afresh.

    Args:
        image_size: rows and columns.
        settings: `crop_pct`, `crop_mode`, `interpolation`, as timm's `create_transform` takes them.
        channels: that the model takes.
    """

    def __init__(self, image_size: tuple[int, int], settings: Mapping[str, Any], channels: int = 3) -> None:
        from timm.data import create_transform

        own = {"crop_pct": 0.875, "crop_mode": "center", "interpolation": "bicubic", **settings}
        self.channels = channels
        self.inner = create_transform(
            input_size=(3, *image_size), is_training=False, mean=(0.0,) * 3, std=(1.0,) * 3, **own
        )
        self.inner.transforms.pop()  # the normalisation, which would know of three channels only

    def __call__(self, image: Any) -> Tensor:
        """Return a picture, or an image of many bands (`values` `[H, W, C]`), as float32 `[C, H, W]` in [0, 1].

        A picture becomes RGB, or grey for a model of one channel.

        Raises:
            ValueError: the model takes another number of bands.
        """
        if not isinstance(image, Image.Image):
            bands = torch.as_tensor(image.values).permute(2, 0, 1).contiguous()
            if len(bands) != self.channels:
                raise ValueError(f"it has {len(bands)} bands, and the model takes {self.channels}")
            return self.inner(bands).clamp(0, 1)
        if self.channels not in (1, 3):
            raise ValueError(f"it is an RGB picture, and the model takes {self.channels} bands")
        return self.inner(image.convert("L" if self.channels == 1 else "RGB")).clamp(0, 1)

    def mask(self, image: Image.Image) -> Tensor:
        """Return a black and white picture in the model's view, float32 `[1, H, W]`."""
        return self.inner(image.convert("L")).clamp(0, 1)
