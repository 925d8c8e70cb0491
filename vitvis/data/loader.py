"""Batches: fixed sets of photos, numbered over the whole data, whoever reads them.

Batch b holds the photos `b * size ... (b + 1) * size - 1` of the data, those that can't be used left out; the last one
may be shorter. Processes take whole batches, so that what a model computes for a photo does not depend on how many
processes there are, nor on which of them has the photo.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

from vitvis.data.photo import Entry, Photo, UnusableImage
from vitvis.data.source import Source
from vitvis.errors import VitvisError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Batch", "ModelView", "Share", "View", "from_bytes", "make_loader", "to_bytes"]


class View(Protocol):
    """What is made of a photo; pickled with the data set where workers are started afresh."""

    def __call__(self, photo: Photo) -> dict[str, Tensor]:
        """Return tensors `[rows, ...]`, the same names for all photos.

        Raises:
            UnusableImage: nothing can be made of it.
        """


@dataclass(frozen=True)
class ModelView:
    """A photo as a model sees it.

    Gives `images`, uint8 `[1, C, H, W]`, and with `masks` the object likewise, `masks` float32 `[1, H, W]`: the share
    of each pixel that lies on it; NaN without one.

    Attributes:
        transform: The model's own evaluation transform, from a picture to float32 `[C, H, W]` in [0, 1].
        masks: Whether objects are wanted.
    """

    transform: Callable[[Image], Tensor]
    masks: bool = False

    def __call__(self, photo: Photo) -> dict[str, Tensor]:
        """Transform a photo, and its mask as a black and white picture."""
        from PIL import Image

        try:
            image = to_bytes(self.transform(photo.image))
        except Exception as error:  # a picture of one pixel by a million, say: whatever resizing raises
            raise UnusableImage(f"can't be transformed: {error}") from None
        tensors = {"images": image[None]}
        if self.masks:
            none = torch.full((1, *image.shape[-2:]), torch.nan)
            mask = None if photo.mask is None else Image.fromarray(photo.mask).convert("RGB")
            whole = getattr(self.transform, "mask", self.transform)
            tensors["masks"] = none if mask is None else whole(mask)[:1]
        return tensors


def to_bytes(image: Tensor) -> Tensor:
    """Return an image in [0, 1] as uint8; exact for the 8-bit pictures that transforms of pictures give."""
    return image.mul(255).round_().clamp_(0, 255).to(torch.uint8)


def from_bytes(images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return uint8 images as they were, in [0, 1]."""
    return images.to(dtype).div_(255)


@dataclass(frozen=True)
class Share:
    """The batches of one of `world` processes, less those that are done.

    Of data whose length is known a process takes neighbouring batches, so that it needs few files; of an endless
    stream every `world`-th.
    """

    rank: int = 0
    world: int = 1
    done: Collection[int] = frozenset()
    batches: int | None = None

    def __contains__(self, number: object) -> bool:
        """Say whether a batch is to be done by this process."""
        assert isinstance(number, int)
        if number in self.done:
            return False
        if self.batches is None:
            return number % self.world == self.rank
        last = self.rank == self.world - 1  # also takes what a stream holds beyond the length that it told
        return self._bound(self.rank) <= number and (last or number < self._bound(self.rank + 1))

    def numbers(self) -> list[int]:
        """Return the batches, where their number is known."""
        assert self.batches is not None, "a stream that does not tell its length is read in order"
        return [number for number in range(self._bound(self.rank), self._bound(self.rank + 1)) if number in self]

    def _bound(self, rank: int) -> int:
        return rank * (self.batches or 0) // self.world


@dataclass
class Batch:
    """The photos of one step.

    Attributes:
        number: Which batch it is.
        size: Photos of the data that it stands for, unusable ones too.
        entries: Those that could be used.
        tensors: What the view made of them, row by row.
        skipped: Dataset index, key and reason of those that could not.
        counts: What was met in annotations.
        failure: Why no more can be read after this; empty where nothing is wrong. (An exception would reach the main
            process from a worker with its whole traceback for a message.)
    """

    number: int
    size: int = 0
    entries: list[Entry] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    skipped: list[tuple[int, str, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    failure: str = ""

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def images(self) -> Tensor:
        """float32 `[B, 3, H, W]` in [0, 1], of a `ModelView`."""
        return from_bytes(self.tensors["images"])

    @property
    def masks(self) -> Tensor | None:
        """float32 `[B, H, W]`, NaN in photos without an object; None where none was asked for."""
        return self.tensors.get("masks")

    @property
    def indices(self) -> Tensor:
        """Dataset indices, int64 `[B]`, on the CPU."""
        return torch.tensor([entry.index for entry in self.entries], dtype=torch.int64)

    def to(self, device: torch.device) -> Batch:
        """Return the batch with its tensors on a device."""
        return self._with(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """Return the batch with pinned tensors; called by the loader."""
        return self._with(Tensor.pin_memory)

    def share_memory(self) -> Batch:
        """Return the batch with tensors that reach another process without a copy, or a batch that says why it can't.

        Left to the queue between processes, a full /dev/shm would print a traceback and lose the batch.
        """
        try:
            return self._with(Tensor.share_memory_)
        except RuntimeError:
            return Batch(
                self.number,
                failure="no room in the shared memory (/dev/shm) through which workers hand over"
                " images; give workers=0, or a smaller batch_size=, or make it larger",
            )

    def _with(self, change: Callable[[Tensor], Tensor]) -> Batch:
        return replace(self, tensors={name: change(tensor) for name, tensor in self.tensors.items()})


def read_batch(number: int, photos: Iterable[tuple[Entry, Callable[[], Photo]]], view: View) -> Batch:
    """Read photos and join what the view makes of them."""
    batch, made = Batch(number), cast(list[dict[str, Tensor]], [])
    for entry, read in photos:
        batch.size += 1
        try:
            photo = read()
            batch.counts.update(photo.counts)
            made.append(view(photo))
            batch.entries.append(entry)
            if photo.fault:
                batch.counts[photo.fault] += 1
        except UnusableImage as reason:
            batch.skipped.append((entry.index, entry.key, str(reason)))
    batch.tensors = {name: torch.cat([tensors[name] for tensors in made]) for name in made[0]} if made else {}
    return batch.share_memory() if get_worker_info() is not None else batch


class _Batches(Dataset[Batch]):
    """Batches of data that can be read at any index."""

    def __init__(
        self, source: Source, view: View, size: int, indices: Sequence[int], numbers: Sequence[int], objects: bool
    ) -> None:
        self.source, self.view, self.size = source, view, size
        self.indices, self.numbers, self.objects = indices, numbers, objects

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, place: int) -> Batch:
        number = self.numbers[place]
        chosen = self.indices[number * self.size : (number + 1) * self.size]
        read = partial(self.source.read, objects=self.objects)
        photos = ((self.source.entry(int(index)), partial(read, int(index))) for index in chosen)
        return read_batch(number, photos, self.view)


class _StreamBatches(IterableDataset[Batch]):
    """Batches of a stream, of which every process reads all and decodes its own."""

    def __init__(self, source: Source, view: View, size: int, share: Share) -> None:
        self.source, self.view, self.size, self.share = source, view, size, share

    def __iter__(self) -> Iterator[Batch]:
        held: list[tuple[Entry, Callable[[], Photo]]] = []
        try:
            for entry, read in self.source.stream(self._needs):
                number = entry.index // self.size
                if held and held[0][0].index // self.size != number:
                    yield read_batch(held[0][0].index // self.size, held, self.view)
                    held = []
                if number in self.share:
                    held.append((entry, read))
        except VitvisError as error:  # a batch that is not whole is read again
            yield Batch(-1, failure=str(error))
            return
        if held:
            yield read_batch(held[0][0].index // self.size, held, self.view)

    def _needs(self, first: int, stop: int) -> bool:
        return any(number in self.share for number in range(first // self.size, -(-stop // self.size)))


def make_loader(
    source: Source,
    view: View,
    *,
    batch_size: int,
    workers: int = 0,
    share: Share | None = None,
    indices: Sequence[int] | np.ndarray | None = None,
    objects: bool = True,
    pin_memory: bool = False,
) -> DataLoader[Batch]:
    """Return the loader of one process's batches.

    Args:
        source: The photos.
        view: What is made of each.
        batch_size: Photos a batch.
        workers: Processes that decode; a stream takes one at most, which keeps its order.
        share: Which batches; None: all. Its `batches` are filled in here.
        indices: These photos in place of all; not for streams.
        objects: Whether boxes or masks are read.
        pin_memory: Speeds up the way to a GPU.
    """
    length = source.length if indices is None else len(indices)
    share = replace(share or Share(), batches=None if length is None else -(-length // batch_size))
    dataset: Dataset[Batch]
    if source.random_access:
        chosen = range(length or 0) if indices is None else indices
        dataset = _Batches(source, view, batch_size, cast(Sequence[int], chosen), share.numbers(), objects)
    else:
        dataset, workers = _StreamBatches(source, view, batch_size, share), min(workers, 1)
    return DataLoader(
        dataset,
        batch_size=None,
        num_workers=workers,
        collate_fn=_as_it_is,
        pin_memory=pin_memory,
        prefetch_factor=4 if workers else None,
    )


def _as_it_is(batch: Any) -> Any:
    return batch
