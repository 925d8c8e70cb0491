"""Reading pictures and listing folders, the same for every layout."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from vitvis.data.labelled import UnusableImage

__all__ = ["IMAGE_SUFFIXES", "decode", "find_child", "images_in", "read_words", "subfolders"]

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm"})


def decode(source: Path | bytes) -> Image.Image:
    """Decode an image as RGB.

    Raises:
        UnusableImage: it is missing, empty, cut off, no picture, or absurdly large.
    """
    try:
        with Image.open(source if isinstance(source, Path) else io.BytesIO(source)) as image:
            return image.convert("RGB")
    except FileNotFoundError:
        raise UnusableImage("no such file") from None
    except Exception as error:  # damaged files make decoders fail in every way there is, and one must not end a run
        raise UnusableImage(f"can't be decoded ({type(error).__name__})") from None


def images_in(folder: Path) -> list[Path]:
    """Return all pictures below a folder, sorted by path; hidden ones are left out."""
    found = []
    for parent, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            Path(parent, name)
            for name in files
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES
        ]
    return sorted(found)


def subfolders(folder: Path) -> list[str]:
    """Return the names of the folders in a folder, sorted."""
    return sorted(item.name for item in folder.iterdir() if item.is_dir() and not item.name.startswith("."))


def find_child(folder: Path, names: Iterable[str]) -> Path | None:
    """Return the first of the given paths below a folder that exists, or None."""
    return next((folder / name for name in names if (folder / name).exists()), None)


def read_words(path: Path) -> list[list[str]]:
    """Read a small text file as rows of words, split at tabs, else at commas, else at spaces; no empty rows."""
    rows = []
    for line in path.read_text(encoding="utf-8-sig").splitlines():
        if line.strip():
            separator = "\t" if "\t" in line else "," if "," in line else None
            rows.append([word.strip() for word in line.split(separator)])
    return rows
