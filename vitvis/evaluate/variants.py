"""Each photo is decoded once; every variant of it goes through every distinct transform."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vitvis.data.loader import to_bytes
from vitvis.data.photo import Photo, UnusableImage
from vitvis.evaluate.masking import apply_mask, variant_names

__all__ = ["VariantPlan", "VariantView"]

Transform = Callable[[Image.Image], Tensor]


@dataclass(frozen=True)
class VariantPlan:
    """What is made of an image, in full: the fields say it, `names` lists it.

    Attributes:
        variants: Of `full`, `foreground`, `background`; or the variants that the data itself holds.
        fills: Of `masking.FILLS`.
        mean: Colour of the fill `mean`, in [0, 1].
        seed: Seed of the fill `noise`.
        own: Whether the data itself holds the variants.
        objects: Whether photos without an object are left out.
    """

    variants: tuple[str, ...] = ("full", "foreground", "background")
    fills: tuple[str, ...] = ("black",)
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    seed: int = 0
    own: bool = False
    objects: bool = True

    @property
    def names(self) -> list[str]:
        """The rows of a table: every variant under every fill, `full` once."""
        if self.own:
            return list(self.variants)
        return variant_names(self.variants, self.fills)

    def apply(self, image: np.ndarray, mask: np.ndarray | None, name: str, index: int) -> np.ndarray:
        """Return the variant `name` of image number `index`, uint8 `[height, width, 3]`."""
        variant, _, fill = name.partition("/")
        if self.own or variant == "full":
            return image
        if mask is None:
            raise UnusableImage("no mask")
        return apply_mask(image, mask, variant, fill, mean=self.mean, seed=(self.seed, index))


@dataclass(frozen=True)
class VariantView:
    """All variants of a photo, through all transforms.

    Gives, with a row for each variant: `images/KEY` for each transform, uint8 `[rows, 3, H, W]` (what a decoder gives,
    and a quarter of the way to travel); `index` and `variant` (number in `VariantPlan.names`) and `label`, int64
    `[rows]`; `share`, float32 `[rows]`, the object's share of the decoded image's area, NaN without a mask.

    Attributes:
        plan: Variants and fills.
        transforms: By name, the distinct transforms of all models; each gives float32 `[3, H, W]` in [0, 1].
    """

    plan: VariantPlan
    transforms: dict[str, Transform] = field(hash=False)

    def __call__(self, photo: Photo) -> dict[str, Tensor]:
        """Make the variants of a photo.

        Raises:
            UnusableImage: it lacks the object that it should have.
        """
        entry, names = photo.entry, self.plan.names
        if self.plan.objects and photo.mask is None:
            raise UnusableImage(photo.fault or "no mask")
        chosen = [entry.variant] if self.plan.own and entry.variant is not None else names
        pixels = np.asarray(photo.image)
        made = [Image.fromarray(self.plan.apply(pixels, photo.mask, name, entry.index)) for name in chosen]
        rows = len(made)
        share = float("nan") if photo.mask is None else float(photo.mask.mean())
        tensors = {
            "index": torch.full((rows,), entry.index),
            "variant": torch.tensor([names.index(name) for name in chosen]),
            "label": torch.full((rows,), -1 if entry.label is None else entry.label),
            "share": torch.full((rows,), share),
        }
        for key, transform in self.transforms.items():
            try:
                tensors[f"images/{key}"] = torch.stack([to_bytes(transform(image)) for image in made])
            except Exception as error:  # a picture of one pixel by a million, say: whatever resizing raises
                raise UnusableImage(f"can't be transformed: {error}") from None
        return tensors
