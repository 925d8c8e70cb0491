"""Pictures from files."""

from __future__ import annotations

from pathlib import Path

import numpy
import torch
from PIL import Image, ImageOps
from torch import Tensor

from vitvis.data.decode import SUFFIXES, decode
from vitvis.data.photo import UnusableImage
from vitvis.errors import VitvisError

__all__ = ["list_pictures", "read_picture"]


def read_picture(path: str | Path, size: tuple[int, int]) -> Tensor:
    """Read a picture as all commands read photos, cut its middle to the aspect ratio of `size` and resize it.

    Args:
        path: file.
        size: rows and columns.

    Returns:
        float32 `[3, H, W]` in [0, 1].

    Raises:
        VitvisError: no such file, or no picture.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise VitvisError(f"image.start={path}: no such file; give a picture, or noise")
    try:
        fitted = ImageOps.fit(decode(path), (size[1], size[0]), Image.Resampling.LANCZOS)
    except UnusableImage as reason:
        raise VitvisError(f"{path}: can't be read as a picture ({reason})") from None
    return torch.from_numpy(numpy.array(fitted)).permute(2, 0, 1).float() / 255


def list_pictures(folder: str | Path) -> list[Path]:
    """Return the picture files of a folder and those below it, in order of name.

    Raises:
        VitvisError: no such folder, or no picture in it.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise VitvisError(f"image.magnitude={folder}: no such folder; give one that holds pictures, or null for 1/f")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise VitvisError(f"image.magnitude={folder}: holds no picture ({', '.join(sorted(SUFFIXES))})")
    return found
