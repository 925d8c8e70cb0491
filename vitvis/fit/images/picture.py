"""Pictures from files."""

from __future__ import annotations

from pathlib import Path

import numpy
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional

from vitvis.data.bands import Bands
from vitvis.data.decode import SUFFIXES, decode
from vitvis.data.photo import UnusableImage
from vitvis.errors import VitvisError

__all__ = ["list_pictures", "read_picture"]


def read_picture(path: str | Path, size: tuple[int, int], channels: int = 3) -> Tensor:
    """Read a picture as all commands read photos, cut its middle to the aspect ratio of `size` and resize it.

    Args:
        path: file.
        size: rows and columns.
        channels: C; a picture stands for three, or in grey for one, a `.npy` file or TIFF for as many as it has.

    Returns:
        float32 `[C, H, W]` in [0, 1].

    Raises:
        VitvisError: no such file, or no picture.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise VitvisError(f"image.start={path}: no such file; give a picture, or noise")
    try:
        found = decode(path)
        if isinstance(found, Bands) or channels not in (1, 3):
            return _fit_bands(found, size, channels)
        fitted = ImageOps.fit(found, (size[1], size[0]), Image.Resampling.LANCZOS)
    except UnusableImage as reason:
        raise VitvisError(f"{path}: can't be read as a picture ({reason})") from None
    if channels == 1:
        return torch.from_numpy(numpy.array(fitted.convert("L"))).float()[None] / 255
    return torch.from_numpy(numpy.array(fitted)).permute(2, 0, 1).float() / 255


def _fit_bands(found: object, size: tuple[int, int], channels: int) -> Tensor:
    """Do to bands what `ImageOps.fit` does to a picture: cut the middle out, and resize."""
    if not isinstance(found, Bands):
        raise UnusableImage(f"it is an RGB picture, and the model takes {channels} bands")
    if found.count != channels:
        raise UnusableImage(f"it has {found.count} bands, and the model takes {channels}")
    values = torch.from_numpy(found.values).permute(2, 0, 1)
    height, width = values.shape[1:]
    scale = min(height / size[0], width / size[1])
    rows, columns = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    top, left = (height - rows) // 2, (width - columns) // 2
    middle = values[None, :, top : top + rows, left : left + columns]
    return functional.interpolate(middle, size, mode="bicubic", antialias=True, align_corners=False)[0].clamp(0, 1)


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
