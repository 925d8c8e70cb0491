"""What streams have in common: samples in order become photos, and what a library raises becomes one line."""

from __future__ import annotations

import importlib.util
import operator
from abc import abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from vitvis.data.classes import MAX_CLASSES
from vitvis.data.decode import as_image
from vitvis.data.photo import Entry, Photo, UnusableImage
from vitvis.data.source import Request, Stream
from vitvis.errors import VitvisError

__all__ = ["Sample", "SampleStream", "broken", "needs_library", "number", "one_line"]

#: Index, key (may be empty), label (anything), image (anything `as_image` takes, or what returns that when called).
Sample = tuple[int, str, Any, Any]


class SampleStream(Stream):
    """A stream of samples that a library gives."""

    @abstractmethod
    def samples(self, needs: Callable[[int, int], bool] | None = None) -> Iterator[Sample]:
        """Yield the samples in order; those of parts in which no index is wanted may be passed over."""

    def stream(self, needs: Callable[[int, int], bool] | None = None) -> Iterator[tuple[Entry, Callable[[], Photo]]]:
        """Yield the photos in order, each with what decodes it.

        Raises:
            VitvisError: the stream broke off, and what it would have held can't be known.
        """
        try:
            for index, key, label, image in self.samples(needs):
                if self.limit is not None and index >= self.limit:
                    return
                known = number(label)
                name = self.classes.name(known) or (label if known is None and isinstance(label, str) else None)
                entry = Entry(index, key or f"sample {index}", known, name or None)
                yield entry, partial(self._photo, entry, image)
        except (VitvisError, GeneratorExit):
            raise
        except Exception as error:  # whatever the library below raises: network, codecs, archives
            raise VitvisError(
                f"{self.spec}: broke off ({one_line(error)}); give the same command again to go on from the last"
                " checkpoint"
            ) from None

    def _photo(self, entry: Entry, image: Any) -> Photo:
        return self.with_object(Photo(entry, as_image(image() if callable(image) else image)))


def number(label: Any) -> int | None:
    """Read a class: an integer of any library, or its digits; None for everything else, and beyond the limits."""
    try:
        value = int(label) if isinstance(label, str) and len(label) < 20 else operator.index(label)
    except (TypeError, ValueError):
        return None
    return value if 0 <= value < MAX_CLASSES else None


def broken(reason: str) -> Callable[[], Any]:
    """Stand for an image that can't be read, and whose reason is known already."""
    return partial(_raise, reason)


def _raise(reason: str) -> Any:
    raise UnusableImage(reason)


def needs_library(module: str, packages: str, request: Request) -> None:
    """Raise VitvisError where a library isn't installed."""
    if importlib.util.find_spec(module) is None:
        raise VitvisError(f"{request.spec}: needs a library that isn't installed; pip install {packages}")


def one_line(error: BaseException, length: int = 200) -> str:
    """Return what a library said, in one line, cut at a word."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= length else text[:length].rpartition(" ")[0] + " ..."
