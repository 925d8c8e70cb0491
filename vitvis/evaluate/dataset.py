"""Each image is decoded once; every variant of it goes through every distinct transform."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from vitvis.data.labelled import Source, UnusableImage
from vitvis.evaluate.masking import apply_mask, variant_names

__all__ = ["Batch", "VariantDataset", "VariantPlan", "collate"]

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
    """

    variants: tuple[str, ...] = ("full", "foreground", "background")
    fills: tuple[str, ...] = ("black",)
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    seed: int = 0
    own: bool = False

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


@dataclass
class Batch:
    """Images and their variants, one row each.

    Attributes:
        images: By transform: uint8 `[rows, 3, H, W]`; what a decoder gives, and a quarter of the way to travel.
        index: Entry of the source, int64 `[rows]`.
        variant: Number in `VariantPlan.names`, int64 `[rows]`.
        label: Class, int64 `[rows]`.
        share: The object's share of the decoded image's area, float32 `[rows]`; NaN where there is no mask.
        skipped: `(entry, reason)` of images that could not be used.
        counts: What was met in annotations.
    """

    images: dict[str, Tensor] = field(default_factory=dict)
    index: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))
    variant: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))
    label: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))
    share: Tensor = field(default_factory=lambda: torch.empty(0))
    skipped: list[tuple[int, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.index)

    def pin_memory(self) -> Batch:
        """Pin the images, so that their way to a GPU does not hold up the host."""
        self.images = {key: images.pin_memory() for key, images in self.images.items()}
        return self

    def to(self, device: torch.device | str, non_blocking: bool = True) -> Batch:
        """Move all tensors to a device."""
        self.images = {key: images.to(device, non_blocking=non_blocking) for key, images in self.images.items()}
        for name in ("index", "variant", "label", "share"):
            setattr(self, name, getattr(self, name).to(device, non_blocking=non_blocking))
        return self


class VariantDataset(Dataset):
    """A source's images as batches of one: all variants, through all transforms.

    Args:
        source: Images with labels and masks.
        indices: Entries this rank sees: a strided subset, nothing padded.
        plan: Variants and fills.
        transforms: By name, the distinct transforms of all models; each gives float32 `[3, H, W]` in [0, 1].
    """

    def __init__(
        self, source: Source, indices: Sequence[int], plan: VariantPlan, transforms: dict[str, Transform]
    ) -> None:
        self._source, self._indices = source, indices
        self._plan, self._transforms = plan, transforms

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, position: int) -> Batch:
        index = self._indices[position]
        entry = self._source.entries[index]
        names = [entry.variant] if entry.variant is not None else self._plan.names
        try:
            sample = self._source.load(index)
            pixels = np.asarray(sample.image)
            made = [Image.fromarray(self._plan.apply(pixels, sample.mask, name, index)) for name in names]
        except UnusableImage as reason:
            return Batch(skipped=[(index, str(reason))], counts=Counter(reason.counts))
        except (OSError, UnicodeDecodeError) as error:  # an annotation that is gone or unreadable
            return Batch(skipped=[(index, f"can't be read ({type(error).__name__})")])
        numbers = [self._plan.names.index(name) for name in names]
        share = float("nan") if sample.mask is None else float(sample.mask.mean())
        rows = len(names)
        return Batch(
            images={
                key: torch.stack([to_bytes(transform(image)) for image in made])
                for key, transform in self._transforms.items()
            },
            index=torch.full((rows,), index),
            variant=torch.tensor(numbers),
            label=torch.full((rows,), sample.label),
            share=torch.full((rows,), share),
            counts=Counter(sample.counts),
        )


def to_bytes(image: Tensor) -> Tensor:
    """Return an image in [0, 1] as uint8; exact for the 8-bit pictures that transforms of pictures give."""
    return image.mul(255).round_().clamp_(0, 255).to(torch.uint8)


def from_bytes(images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return uint8 images as they were, in [0, 1]."""
    return images.to(dtype).div_(255)


def collate(batches: Sequence[Batch]) -> Batch:
    """Join batches row by row; images that could not be used leave only their reason."""
    used = [batch for batch in batches if len(batch)]
    keys = used[0].images if used else {}
    joined = Batch(images={key: torch.cat([batch.images[key] for batch in used]) for key in keys})
    if used:
        for name in ("index", "variant", "label", "share"):
            setattr(joined, name, torch.cat([getattr(batch, name) for batch in used]))
    joined.skipped = [item for batch in batches for item in batch.skipped]
    for batch in batches:
        joined.counts.update(batch.counts)
    return joined
