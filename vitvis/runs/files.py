"""Files that appear whole or not at all, and PNGs that say what they are."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vitvis.errors import VitvisError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["TEMPORARY", "atomic_write", "read_png_text", "save_png"]

#: How names of half-written files start and end; a reader skips them, the next run removes them.
TEMPORARY = (".", ".partial")


def atomic_write(path: str | Path, data: bytes) -> None:
    """Write a file so that a reader, or a restart after a kill, finds all of it or nothing.

    The bytes go to a hidden neighbour, reach the disk, and then take the name. Folders are made as needed.

    Raises:
        OSError: the disk is full, read-only, or not ours; the hidden neighbour is then removed again.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    neighbour = path.with_name(f"{TEMPORARY[0]}{path.name}.{os.getpid()}{TEMPORARY[1]}")
    try:
        with open(neighbour, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(neighbour, path)
    except BaseException as error:
        neighbour.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = str(path)  # a full disk does not say which file it was
        raise


def save_png(image: Image, text: Mapping[str, str]) -> bytes:
    """Return `image` as PNG bytes that carry `text` as UTF-8 text chunks."""
    from PIL.PngImagePlugin import PngInfo

    chunks = PngInfo()
    for key, value in text.items():
        chunks.add_itxt(key, str(value))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", pnginfo=chunks)
    return buffer.getvalue()


def read_png_text(path: str | Path) -> dict[str, str]:
    """Return the text chunks of a PNG.

    Raises:
        VitvisError: there is no such file, or it is no picture.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            image.load()  # chunks may stand behind the pixels
            return {key: str(value) for key, value in getattr(image, "text", {}).items()}
    except FileNotFoundError:
        raise VitvisError(f"{path}: no such file") from None
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise VitvisError(f"{path}: can't be read as a PNG ({error})") from None
