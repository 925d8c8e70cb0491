"""Foreground and background alone: what is left out is filled, on the full-resolution image. Pure functions.

Foreground keeps the pixels of the mask and fills all others; background fills the pixels of the mask and keeps all
others. The two are complements to the pixel.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence

import numpy as np

from vitvis.errors import VitvisError, nearest

__all__ = ["FILLS", "MASK_VARIANTS", "apply_mask", "check_fills", "make_fill", "variant_name", "variant_names"]

#: What stands where something was left out; `black` is the work's.
FILLS = ("black", "mean", "blur", "noise", "inpaint")
MASK_VARIANTS = ("full", "foreground", "background")


def variant_name(variant: str, fill: str) -> str:
    """Return how a variant is called in records: `full`, `foreground/black`."""
    return variant if variant == "full" else f"{variant}/{fill}"


def variant_names(variants: Iterable[str], fills: Iterable[str]) -> list[str]:
    """Return every variant under every fill, `full` once and first."""
    names = ["full"] if "full" in variants else []
    return names + [variant_name(variant, fill) for fill in fills for variant in variants if variant != "full"]


def apply_mask(
    image: np.ndarray,
    mask: np.ndarray,
    variant: str,
    fill: str = "black",
    *,
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5),
    seed: int | Sequence[int] = 0,
) -> np.ndarray:
    """Return one variant of an image.

    Args:
        image: uint8 `[height, width, 3]`.
        mask: bool `[height, width]`, True on the object.
        variant: `full`, `foreground` or `background`.
        fill: One of `FILLS`.
        mean: Colour of the fill `mean`, in [0, 1].
        seed: Seed of the fill `noise`; the same seed draws the same noise for both variants.

    Returns:
        uint8 `[height, width, 3]`.
    """
    if variant == "full":
        return image
    if variant not in MASK_VARIANTS:
        raise VitvisError(f"variant '{variant}': no such variant{nearest(variant, MASK_VARIANTS)}")
    keep = mask if variant == "foreground" else ~mask
    return np.where(keep[..., None], image, make_fill(image, ~keep, fill, mean=mean, seed=seed))


def make_fill(
    image: np.ndarray, hole: np.ndarray, fill: str, *, mean: tuple[float, float, float], seed: int | Sequence[int]
) -> np.ndarray:
    """Return the pixels that stand in the hole.

    - `black`: 0.
    - `mean`: one colour, the mean of the data.
    - `blur`: the whole image under a Gaussian of a twentieth of its longer side; the colours of what was left out stay.
    - `noise`: uniform in every pixel and channel.
    - `inpaint`: the image's own rest grown into the hole (OpenCV, Telea 2004, radius 3 px); black where there is no
      rest at all.

    Args:
        image: uint8 `[height, width, 3]`.
        hole: bool `[height, width]`.
        fill: One of `FILLS`.
        mean: Colour in [0, 1].
        seed: Seed of the noise.

    Returns:
        uint8, broadcastable to `[height, width, 3]`.
    """
    if fill == "black":
        return np.zeros(3, dtype=np.uint8)
    if fill == "mean":
        return np.round(np.asarray(mean) * 255).astype(np.uint8)
    if fill == "noise":
        return np.random.default_rng(seed).integers(0, 256, image.shape, dtype=np.uint8)
    if fill == "blur":
        from PIL import Image, ImageFilter

        radius = max(image.shape[:2]) / 20
        return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))
    if fill == "inpaint":
        if hole.all():
            return np.zeros(3, dtype=np.uint8)
        return _inpaint(image, hole)
    raise VitvisError(f"fill={fill}: no such fill{nearest(fill, FILLS)} (fills: {', '.join(FILLS)})")


def check_fills(fills: Iterable[str]) -> None:
    """Raise VitvisError where a fill needs a library that is not there, before any image is read."""
    if "inpaint" in fills and importlib.util.find_spec("cv2") is None:
        raise VitvisError("fill=inpaint needs OpenCV: pip install 'vitvis[inpaint]'")


def _inpaint(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.inpaint(np.ascontiguousarray(image), hole.astype(np.uint8), 3, cv2.INPAINT_TELEA)
