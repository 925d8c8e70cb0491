"""From what a library gives for an image to an RGB picture."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitvis.data.sources import BrokenImage, decode

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["as_image", "broken", "from_hub"]


def as_image(value: Any) -> Image:
    """Turn what a reader gives (open file, bytes, bytes or path of Hugging Face, picture) into an RGB picture.

    Raises:
        BrokenImage: it can't be decoded.
    """
    from PIL import Image

    if isinstance(value, Mapping):
        value = value.get("bytes") or (Path(value["path"]) if value.get("path") else None)
    if isinstance(value, Path):
        return decode(value)
    if not isinstance(value, Image.Image) and not hasattr(value, "read"):
        if not value:
            raise BrokenImage("sample without an image")
        return decode(bytes(value))
    try:
        if isinstance(value, Image.Image):
            return value.convert("RGB")
        with value as file:
            data = file.read()
    except Exception as error:  # a lazy picture, or an archive, breaks here
        raise BrokenImage(f"can't be decoded: {error}") from None
    return decode(data)


def from_hub(image: Mapping[str, Any]) -> Image:
    """Decode an image of a Hugging Face stream, whose path may point into an archive or to another machine.

    Raises:
        BrokenImage: it can't be had, or decoded.
    """
    import datasets

    if image.get("bytes") or os.path.isfile(str(image.get("path"))):
        return as_image(image)
    try:
        return as_image(datasets.Image().decode_example(dict(image)))
    except Exception as error:  # network, archive, codec
        raise BrokenImage(f"can't be read: {type(error).__name__} {error}") from None


def broken(reason: str) -> Image:
    """Stand for an image that can't be read, and whose reason is known already."""
    raise BrokenImage(reason)
