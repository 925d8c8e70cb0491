"""A model's own evaluation transform, as an object that other processes can be handed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PIL import Image
from torch import Tensor

__all__ = ["EvalTransform"]


class EvalTransform:
    """Resize and crop of a model, without its normalisation; pickles, so that workers may be started afresh.

    Args:
        image_size: rows and columns.
        settings: `crop_pct`, `crop_mode`, `interpolation`, as timm's `create_transform` takes them.
    """

    def __init__(self, image_size: tuple[int, int], settings: Mapping[str, Any]) -> None:
        from timm.data import create_transform

        own = {"crop_pct": 0.875, "crop_mode": "center", "interpolation": "bicubic", **settings}
        self.inner = create_transform(
            input_size=(3, *image_size), is_training=False, mean=(0.0,) * 3, std=(1.0,) * 3, **own
        )

    def __call__(self, image: Image.Image) -> Tensor:
        """Return a picture as float32 `[3, H, W]` in [0, 1]."""
        return self.inner(image.convert("RGB")).clamp(0, 1)
