"""Images that are no RGB pictures: `.npy` arrays and TIFFs of any number of bands."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vitvis.data.photo import UnusableImage

__all__ = ["Bands", "read_npy", "read_tiff"]

MAGIC = b"\x93NUMPY"
_MOST = 256  # bands
_LARGEST = 89_478_485  # pixels, as many as Pillow lets a photo have


@dataclass(frozen=True)
class Bands:
    """An image of C bands.

    Attributes:
        values: float32 `[H, W, C]` in [0, 1].
    """

    values: np.ndarray

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.values.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.values.shape[1])

    @property
    def count(self) -> int:
        """Bands."""
        return int(self.values.shape[2])

    def picture(self, bands: Any = None) -> Any:
        """Return what people and judges see of it, an RGB picture; see `show_bands`."""
        from PIL import Image

        from vitvis.draw.bands import show_bands

        return Image.fromarray(show_bands((self.values * 255).round().astype(np.uint8), bands))


def read_npy(source: Path | bytes) -> Bands:
    """Read an array `[H, W]`, `[H, W, C]` or `[C, H, W]`: the first of three axes is the bands' if it is the shortest.

    Raises:
        UnusableImage: it is none, or cut off, or its numbers have no range that is known.
    """
    size = source.stat().st_size if isinstance(source, Path) else len(source)
    file = source.open("rb") if isinstance(source, Path) else io.BytesIO(source)
    try:
        with file:
            version = np.lib.format.read_magic(file)
            if version not in ((1, 0), (2, 0)):
                raise ValueError("a format of its own")
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file)
            if dtype.hasobject or math.prod(shape) * dtype.itemsize > size:
                raise ValueError("holds objects" if dtype.hasobject else "cut off")
            file.seek(0)
            values = np.load(file, allow_pickle=False)
    except Exception as error:  # numpy lets Python's parser at the header, which raises what it likes
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnusableImage(f"can't be read as an array: {reason}") from None
    return _as_bands(values)


def read_tiff(source: Path | bytes) -> Bands | None:
    """Read a TIFF whose bands Pillow would not give all of; None: an ordinary picture, or no tifffile.

    Raises:
        UnusableImage: it is too large, can't be decoded, or its numbers have no range that is known.
    """
    try:
        import tifffile
    except ImportError:
        return None
    try:
        with tifffile.TiffFile(source if isinstance(source, Path) else io.BytesIO(source)) as file:
            page = file.pages[0]
            count = int(page.samplesperpixel)  # type: ignore[union-attr]
            pages = len(file.pages)
            first = file.series[0] if pages > 1 else None
            stacked = first is not None and count == 1 and len(first.shape) == 3 and first.shape[0] == pages <= _MOST
            alpha = [int(extra) for extra in page.extrasamples] if count > 1 else []  # type: ignore[union-attr]
            inks = page.photometric == tifffile.PHOTOMETRIC.SEPARATED and count == 4  # type: ignore[union-attr]
            if not stacked and (inks or count in (1, 3) or count in (2, 4) and alpha and alpha[-1] in (1, 2)):
                return None  # grey, RGB, either with alpha, and CMYK: a picture
            shape = first.shape if stacked and first is not None else page.shape  # type: ignore[union-attr]
            if math.prod(shape) > _LARGEST * 4:
                raise UnusableImage("too large: more pixels than a photo can have")
            values = first.asarray() if stacked and first is not None else page.asarray()  # type: ignore[union-attr]
    except UnusableImage:
        raise
    except Exception as error:  # tifffile and its codecs raise whatever they like
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnusableImage(f"can't be decoded: {reason}") from None
    return _as_bands(values)


def _as_bands(values: np.ndarray) -> Bands:
    if values.ndim == 2:
        values = values[:, :, None]
    if values.ndim != 3 or not values.size:
        raise UnusableImage(
            f"has {values.ndim} axes; an image has [H, W], [H, W, C] or [C, H, W] (no video, no volumes)"
        )
    if values.shape[0] < min(values.shape[1:]):
        values = values.transpose(1, 2, 0)
    if values.shape[2] > _MOST or values.shape[0] * values.shape[1] > _LARGEST:
        raise UnusableImage(f"has the shape {list(values.shape)}, which is no image")
    scaled = values.astype(np.float32)
    if values.dtype in (np.uint8, np.uint16):
        scaled /= np.float32(np.iinfo(values.dtype).max)
    elif values.dtype.kind == "f":
        if not np.isfinite(scaled).all() or scaled.min() < 0 or scaled.max() > 1:
            raise UnusableImage("holds floats that are not in [0, 1], so their range isn't known")
    elif values.dtype != np.bool_:
        raise UnusableImage(f"holds {values.dtype}, whose range isn't known; uint8, uint16 and floats in [0, 1] are")
    return Bands(scaled)
