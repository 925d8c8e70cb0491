"""From a source to batches: the backbone's own eval transform, one rank's share, broken images set aside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from vitvis.data.sources import BrokenImage, Item, Source
from vitvis.errors import VitvisError

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

__all__ = ["Batch", "Loaded", "collate", "make_loader"]

Transform = Callable[["Image"], Tensor]


@dataclass
class Loaded:
    """One image that was read, or why it wasn't.

    Attributes:
        item: What it is.
        image: float32 `[3, H, W]` in [0, 1]; None where it couldn't be read.
        mask: float32 `[H, W]`, share of each pixel that lies on an object; None without regions.
        reason: Why it couldn't be read.
        fatal: Whether no more can be read at all.
    """

    item: Item
    image: Tensor | None
    mask: Tensor | None = None
    reason: str = ""
    fatal: bool = False


@dataclass
class Batch:
    """Images of one step.

    Attributes:
        images: float32 `[B, 3, H, W]` in [0, 1].
        indices: int64 `[B]`, dataset indices.
        items: What they are.
        masks: float32 `[B, H, W]`, or None where the data has no regions; NaN in images without one.
        broken: What couldn't be read.
        consumed: Images of the rank's share that this batch used up, broken ones too.
        failure: Why no more can be read after these; empty where nothing is wrong. (An exception would reach the main
            process from a worker with its whole traceback for a message.)
    """

    images: Tensor
    indices: Tensor
    items: list[Item]
    masks: Tensor | None
    broken: list[Loaded]
    consumed: int
    failure: str = ""

    def to(self, device: torch.device) -> Batch:
        """Move the pixels; called by Lightning."""
        masks = None if self.masks is None else self.masks.to(device)
        images = self.images.to(device, non_blocking=True)
        return replace(self, images=images, masks=masks)

    def pin_memory(self) -> Batch:
        """Pin the pixels; called by the loader."""
        return replace(self, images=self.images.pin_memory())


def collate(samples: list[Loaded]) -> Batch:
    """Make a batch of what could be read."""
    failure = next((sample.reason for sample in samples if sample.fatal), "")
    samples = [sample for sample in samples if not sample.fatal]
    good = [(sample.image, sample) for sample in samples if sample.image is not None]
    images = torch.stack([image for image, _ in good]) if good else torch.zeros(0, 3, 1, 1)
    masks = None
    if any(sample.mask is not None for _, sample in good):
        none = torch.full(images.shape[-2:], torch.nan)
        masks = torch.stack([none if sample.mask is None else sample.mask for _, sample in good])
    items = [sample.item for _, sample in good]
    broken = [sample for sample in samples if sample.image is None]
    return Batch(images, torch.tensor([item.index for item in items], dtype=torch.int64), items, masks, broken,
                 len(samples), failure)  # fmt: skip


def _read(source: Source, item: Item, load: Callable[[], Image], transform: Transform) -> Loaded:
    try:
        picture = load()
        image = transform(picture)
    except BrokenImage as error:
        return Loaded(item, None, reason=str(error))
    except Exception as error:  # a picture of one pixel by a million, say: whatever resizing raises
        return Loaded(item, None, reason=f"can't be transformed: {error}")
    mask = None
    if source.regions is not None:
        region = source.regions.mask(source, item.index, item.key, (picture.height, picture.width))
        mask = None if region is None else _transform_mask(region, transform)
    return Loaded(item, image, mask)


def _transform_mask(mask: np.ndarray, transform: Transform) -> Tensor:
    """Send a mask through the very transform of the image, as a black and white picture; float32 `[H, W]`."""
    from PIL import Image

    return transform(Image.fromarray(mask).convert("RGB"))[0]


class _MapShare(Dataset[Loaded]):
    """Some images of a source that takes any index."""

    def __init__(self, source: Source, transform: Transform, indices: Sequence[int]) -> None:
        self.source, self.transform, self.indices = source, transform, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, place: int) -> Loaded:
        index = self.indices[place]
        try:
            item = self.source.item(index)
        except BrokenImage as error:
            return Loaded(Item(index, f"row {index}"), None, reason=str(error))
        return _read(self.source, item, lambda: self.source.load(index), self.transform)


class _StreamShare(IterableDataset[Loaded]):
    """A rank's share of a stream, without the first `skip` images of it."""

    def __init__(self, source: Source, transform: Transform, rank: int, world: int, skip: int) -> None:
        self.source, self.transform, self.rank, self.world, self.skip = source, transform, rank, world, skip

    def __iter__(self) -> Iterator[Loaded]:
        try:
            for place, (item, load) in enumerate(self.source.stream(self.rank, self.world)):
                if place >= self.skip:
                    yield _read(self.source, item, load, self.transform)
        except VitvisError as error:
            yield Loaded(Item(-1, ""), None, reason=str(error), fatal=True)


def make_loader(
    source: Source,
    transform: Transform,
    *,
    batch_size: int,
    workers: int = 0,
    rank: int = 0,
    world: int = 1,
    skip: int = 0,
    indices: Sequence[int] | None = None,
    pin_memory: bool = False,
) -> DataLoader[Any]:
    """Return the loader of one rank's share: images `rank, rank + world, ...`, each once, none padded.

    Args:
        source: The images.
        transform: The backbone's eval transform.
        batch_size: Images a batch.
        workers: Processes that decode; a stream takes one at most, which keeps its order.
        rank: This process.
        world: Number of processes.
        skip: Images of the share that were done before.
        indices: These images instead of the share; not for streams.
        pin_memory: Speeds up the way to a GPU.
    """
    dataset: Dataset[Loaded]
    if source.random_access:
        share = range(rank + skip * world, source.length or 0, world) if indices is None else indices
        dataset = _MapShare(source, transform, share)
    else:
        dataset, workers = _StreamShare(source, transform, rank, world, skip), min(workers, 1)
    return DataLoader(dataset, batch_size=batch_size, num_workers=workers, collate_fn=collate, shuffle=False,
                      pin_memory=pin_memory, prefetch_factor=4 if workers else None)  # fmt: skip
