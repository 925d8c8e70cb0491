"""Photos of any kind under one interface, and `data=KIND:PATH` that opens them.

A photo's index is its place in the sorted list of a folder, in the rows of Parquet files, or in a stream. It names the
photo for good: it depends neither on the number of processes nor on the size of a batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from vitvis.data.classes import Classes
from vitvis.data.objects import ObjectFolder
from vitvis.data.photo import Entry, Photo, UnusableImage
from vitvis.errors import VitvisError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Request", "Source", "Stream"]


@dataclass(frozen=True)
class Request:
    """What the user asked for.

    Attributes:
        kind: The layout.
        path: Path or name behind the colon.
        split: Part of the data; None: the kind's own choice, `val` where there is one.
        classes: File with names of the classes.
        label_file: Labels of a flat ImageNet split.
        objects: Whether the data's own boxes or masks are wanted.
    """

    kind: str
    path: str
    split: str | None = None
    classes: Path | None = None
    label_file: Path | None = None
    objects: bool = True

    @property
    def spec(self) -> str:
        """How it is written: `data=KIND:PATH`, for errors."""
        return f"data={self.kind}:{self.path}"

    @property
    def folder(self) -> Path:
        """The path as a path."""
        return Path(self.path).expanduser()


@dataclass
class Source(ABC):
    """Photos under the indices `0 .. length - 1`, in one layout.

    Attributes:
        request: What the user asked for.
        split: The split that is read.
        length: Number of photos; None for a stream that does not say. What a stream says may be out of date.
        limit: Photos that the user wants at most.
        classes: Names and WordNet ids of the classes.
        labels: int64 `[length]`, class of each photo, -1 where it has none. Streams leave it empty.
        objects: bool `[length]`, whether a photo has a box or a mask, so far as is known before decoding; None where
            the data as such has none.
        regions: Where boxes or masks are, if elsewhere than in the data itself.
        counts: What was met while listing the data, such as `images without annotation`.
        faults: Why a photo has no label or no object, by index, where that is worth a line.
        unlabelled: Why none has a label, where that is known.
    """

    request: Request
    split: str = ""
    length: int | None = None
    limit: int | None = None
    classes: Classes = field(default_factory=Classes)
    labels: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    objects: np.ndarray | None = None
    regions: ObjectFolder | None = None
    counts: Counter[str] = field(default_factory=Counter)
    faults: dict[int, str] = field(default_factory=dict)
    unlabelled: str = ""

    #: Whether any index can be read at any time; streams are read in order.
    random_access: ClassVar[bool] = True
    #: Variants that the data itself holds, in order of the table; None where masks make them.
    variants: ClassVar[list[str] | None] = None

    @abstractmethod
    def key(self, index: int) -> str:
        """Return what names a photo for people."""

    @abstractmethod
    def load(self, index: int) -> Image:
        """Decode a photo to RGB.

        Raises:
            UnusableImage: with the reason, in words.
        """

    def mask(self, index: int, size: tuple[int, int], counts: Counter[str]) -> np.ndarray | None:
        """Return the object of a photo, bool `[height, width]` of the decoded image; None where it has none.

        Args:
            index: The photo.
            size: Height and width of the decoded image.
            counts: Gets what is met in the annotation.

        Raises:
            UnusableImage: the annotation can't be used; the reason in words.
        """
        return None

    def entry(self, index: int) -> Entry:
        """Return what is known about a photo without its pixels."""
        label = int(self.labels[index]) if len(self.labels) else -1
        known = label if label >= 0 else None
        return Entry(index, self.key(index), known, self.classes.name(known))

    def read(self, index: int, *, objects: bool = True) -> Photo:
        """Decode a photo, and draw its object if asked to.

        Raises:
            UnusableImage: it can't be decoded.
        """
        return self.with_object(Photo(self.entry(index), self.load(index)), objects)

    def with_object(self, photo: Photo, objects: bool = True) -> Photo:
        """Put the mask beside a decoded photo, or say why there is none."""
        if not objects or not self.has_objects:
            return photo
        size = (photo.image.height, photo.image.width)
        try:
            if self.regions is not None:
                mask: np.ndarray | None = self.regions.mask(photo.entry.key, size)
            else:
                mask = self.mask(photo.entry.index, size, photo.counts)
        except UnusableImage as reason:
            return replace(photo, fault=str(reason))
        except OSError as error:
            return replace(photo, fault=f"annotation can't be read ({type(error).__name__})")
        return replace(photo, mask=mask)

    def stream(self, needs: Callable[[int, int], bool] | None = None) -> Iterator[tuple[Entry, Callable[[], Photo]]]:
        """Yield the photos in order, each with what decodes it.

        Args:
            needs: Says whether any index of `first ... stop - 1` is wanted; others may be passed over.
        """
        for index in range(self.length or 0):
            yield self.entry(index), partial(self.read, index)

    @property
    def spec(self) -> str:
        """`data=KIND:PATH`, for errors."""
        return self.request.spec

    @property
    def has_objects(self) -> bool:
        """Whether photos have boxes or masks."""
        return self.objects is not None or self.regions is not None

    @property
    def measurable(self) -> np.ndarray:
        """Return the indices of photos that have a class and, where the data has objects, an object; int64."""
        usable = self.labels >= 0
        if self.regions is not None:
            usable &= np.array([self.regions.find(self.key(index)) is not None for index in range(len(usable))], bool)
        elif self.objects is not None and self.variants is None:
            usable &= self.objects
        return np.flatnonzero(usable[: self.length])


class Stream(Source):
    """Photos that come in order only."""

    random_access: ClassVar[bool] = False

    def key(self, index: int) -> str:
        """Refuse: there is no way to any index."""
        raise VitvisError(f"{self.spec}: is a stream and can't be read at any index")

    def load(self, index: int) -> Image:
        """Refuse: there is no way to any index."""
        raise VitvisError(f"{self.spec}: is a stream and can't be read at any index")

    @abstractmethod
    def stream(self, needs: Callable[[int, int], bool] | None = None) -> Iterator[tuple[Entry, Callable[[], Photo]]]:
        """Yield the photos in order, each with what decodes it."""
