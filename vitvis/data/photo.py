"""A photo, before and after it is decoded, and the one that can't be."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

__all__ = ["Entry", "Photo", "UnusableImage"]


class UnusableImage(Exception):
    """A photo, or what describes it, can't be used; the reason in words. It is listed and counted, never fatal."""


@dataclass(frozen=True)
class Entry:
    """What is known about a photo without its pixels.

    Attributes:
        index: Its number within the whole data: it depends neither on processes nor on batches.
        key: Names it for people: path within the data, or file name.
        label: Class, an index into the names of the classes; None where the data does not tell.
        label_name: Name of the class.
        pair: What it is compared by where several photos show one object; its own index where None.
        variant: Set where the data itself holds variants of an object (ImageNet-9).
    """

    index: int
    key: str
    label: int | None = None
    label_name: str | None = None
    pair: str | None = None
    variant: str | None = None


@dataclass
class Photo:
    """One decoded photo.

    Attributes:
        entry: What it is.
        image: RGB, at full resolution, as the file stores it; `Bands` of what is no picture of three channels.
        mask: bool `[height, width]` of the image, True on the object; None where there is none.
        fault: Why there is no mask, where the data as such has objects.
        counts: What was met while reading its annotation, such as `degenerate boxes`.
    """

    entry: Entry
    image: Image
    mask: np.ndarray | None = None
    fault: str = ""
    counts: Counter[str] = field(default_factory=Counter)
