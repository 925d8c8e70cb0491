"""Pictures of a fit: from tensors to 8-bit RGB, and where they lie in a run folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from vitvis.backbones import Unit
from vitvis.draw.bands import show_bands
from vitvis.runs import digest, site_folder

__all__ = ["image_path", "to_bytes", "to_pictures", "to_shown"]


def to_bytes(images: torch.Tensor) -> np.ndarray:
    """Turn images `[U, C, H, W]` in [0, 1] into 8 bits, `[U, H, W, C]`; NaN becomes black."""
    rounded = (images.detach().float().nan_to_num(0).clamp(0, 1) * 255).round().byte()
    return rounded.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def to_shown(pixels: np.ndarray, channels: int, bands: Sequence[int] | None) -> np.ndarray:
    """Return what is drawn of 8-bit images `[U, H, W, C]` of a model of so many channels; RGB(A) as it is."""
    if channels == 3:
        return pixels
    return np.stack([show_bands(image, bands) for image in pixels])


def to_pictures(images: torch.Tensor) -> list[Image.Image]:
    """Turn images `[U, 3, H, W]` in [0, 1] into 8-bit RGB pictures; NaN becomes black."""
    return [Image.fromarray(array) for array in to_bytes(images)]


def prompt_slug(prompt: str) -> str:
    """Return a prompt as part of a file's name."""
    return re.sub(r"[^A-Za-z0-9]+", "_", prompt.removeprefix("text:"))[:40].strip("_")


def image_path(unit: Unit, seed: int, folder: str = "images") -> str:
    """Return where the image of a unit lies within a run folder: `images/blocks.4.mlp/17_s0.png`."""
    name = f"{'minus' if unit.sign < 0 else ''}{unit.index}"
    if unit.direction:
        stem = Path(unit.direction).stem if unit.vector is None else prompt_slug(unit.direction)
        name = f"{stem}-{digest(unit.direction, 6)}-{name}"
    return f"{folder}/{site_folder(unit.site)}/{name}_s{seed}.png"
