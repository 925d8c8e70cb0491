"""PNGs that say what they are: text chunks, written and read with limits."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vitvis.errors import VitvisError, sentence

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["read_png_text", "save_png"]

#: Characters of text that are read from one PNG, all chunks together; those of vitvis hold some thousand.
TEXT_LIMIT = 1_000_000


def save_png(image: Image, text: Mapping[str, str]) -> bytes:
    """Return `image` as PNG bytes that carry `text` as UTF-8 text chunks."""
    from PIL.PngImagePlugin import PngInfo

    chunks = PngInfo()
    for key, value in text.items():
        chunks.add_itxt(key, str(value).encode("utf-8", "backslashreplace").decode())
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", pnginfo=chunks)
    return buffer.getvalue()


def read_png_text(path: str | Path) -> dict[str, str]:
    """Return the text chunks of a PNG.

    Raises:
        VitvisError: there is no such file, it is no picture, or it is far larger than any of ours.
    """
    from PIL import Image

    if not Path(path).is_file():  # nor a pipe, which might never say anything
        raise VitvisError(f"{path}: no such file")
    try:
        with Image.open(path, formats=["PNG"]) as image:
            image.load()  # chunks may stand behind the pixels
            text = {key: str(value) for key, value in getattr(image, "text", {}).items()}
    except (OSError, SyntaxError, ValueError, MemoryError, Image.DecompressionBombError) as error:
        raise VitvisError(f"{path}: can't be read as a PNG ({sentence(error)})") from None
    if sum(len(value) for value in text.values()) > TEXT_LIMIT:
        raise VitvisError(f"{path}: carries more than {TEXT_LIMIT:,} characters of text, so it is no image of vitvis")
    return text
