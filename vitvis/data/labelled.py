"""What every data layout has in common: a sample `{image, mask, label}` and the list it comes from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Entry", "Sample", "Source", "UnusableImage"]


class UnusableImage(Exception):
    """An image that can't be measured: broken, or without a mask. It is skipped, counted and listed, never fatal.

    Attributes:
        counts: What was met while reading its annotation.
    """

    def __init__(self, reason: str, counts: dict[str, int] | None = None) -> None:
        super().__init__(reason)
        self.counts = counts or {}


@dataclass(frozen=True)
class Entry:
    """One image of a source, before it is decoded.

    Attributes:
        key: Names the image for people: its path within the data, or its file name.
        label: Class, an index into `Source.class_names`.
        pair: What the image is compared by; two variants of one object share it. The key where None.
        variant: Set where the data itself holds the variants (Backgrounds Challenge); None where masks make them.
    """

    key: str
    label: int
    pair: str | None = None
    variant: str | None = None


@dataclass
class Sample:
    """One decoded image.

    Attributes:
        image: RGB, at full resolution.
        mask: bool `[height, width]` of the decoded image, True on the object; None where the data has no masks.
        label: Class.
        counts: What was met while reading its annotation, such as `degenerate boxes`.
    """

    image: Image
    mask: np.ndarray | None
    label: int
    counts: dict[str, int] = field(default_factory=dict)


@dataclass
class Source(ABC):
    """Images with labels and masks, in one layout.

    Attributes:
        entries: All images that have a label and, so far as is known before decoding, a mask.
        class_names: Names by label.
        class_ids: WordNet ids by label, where the data has them; models of other label sets are matched by these.
        merged: WordNet ids that the data counts as another, `{id: the id it counts as}`: naming either is right.
        skipped: Images left out already, `(key, reason)`.
        counts: What was met while listing the data, such as `images without annotation`.
    """

    entries: list[Entry] = field(default_factory=list)
    class_names: list[str] = field(default_factory=list)
    class_ids: list[str] | None = None
    merged: dict[str, str] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    @abstractmethod
    def load(self, index: int) -> Sample:
        """Decode entry `index`.

        Raises:
            UnusableImage: with the reason, in words.
        """

    @property
    def variants(self) -> list[str] | None:
        """Variants the data itself holds, in order of the table; None where masks make them."""
        names = list(dict.fromkeys(entry.variant for entry in self.entries if entry.variant is not None))
        return names or None

    def __len__(self) -> int:
        return len(self.entries)
