"""From bytes to an RGB picture: one rule for all commands and all kinds of data.

A photo is what timm would see: the pixels as the file stores them (no EXIF turn), converted to RGB, its first frame
where there are several, without its alpha channel. Deeper pictures are rescaled to 8 bits by the range of their format.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitvis.data.bands import MAGIC, read_npy, read_tiff
from vitvis.data.photo import UnusableImage

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["SUFFIXES", "as_image", "decode", "is_picture", "open_picture", "to_rgb"]

#: Names of files that are taken for photos end so.
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".jp2", ".avif", ".npy"}
)


def decode(source: Path | bytes) -> Any:
    """Decode a photo to RGB; a `.npy` file, or a TIFF of other bands than those of a picture, to `Bands`.

    Raises:
        UnusableImage: missing, truncated, no picture, of a depth whose range isn't known, or of more pixels than
            `PIL.Image.MAX_IMAGE_PIXELS` (89 million unless changed).
    """
    start = _start(source)
    if start.startswith(MAGIC):
        return read_npy(source)
    if start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        bands = read_tiff(source)
        if bands is not None:
            return bands
    return to_rgb(open_picture(source))


def _start(source: Path | bytes) -> bytes:
    if isinstance(source, bytes):
        return source[:8]
    try:
        if not source.is_file():  # a pipe might never say anything
            return b""
        with source.open("rb") as file:
            return file.read(8)
    except OSError:  # told when it is opened as a picture
        return b""


def open_picture(source: Path | bytes) -> Image:
    """Decode a picture in its own mode: the only place that opens one.

    Raises:
        UnusableImage: as in `decode`.
    """
    from PIL import Image

    if isinstance(source, bytes) and not source:
        raise UnusableImage("no image")
    if isinstance(source, Path) and source.exists() and not source.is_file():
        raise UnusableImage("is no file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(source if isinstance(source, Path) else io.BytesIO(source)) as image:
                image.load()
                return image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UnusableImage("too large: more pixels than a photo can have") from None
    except FileNotFoundError:
        raise UnusableImage("no such file") from None
    except Exception as error:  # decoders raise whatever they like: OSError, SyntaxError, ValueError, struct.error
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnusableImage(f"can't be decoded: {reason.split(' <')[0]}") from None


def to_rgb(image: Image) -> Image:
    """Convert a picture of any mode to RGB, 8 bits a channel.

    16 bits are scaled by 65535, floating point is taken to lie in [0, 1]; Pillow by itself would cut both off.

    Raises:
        UnusableImage: floats outside of [0, 1], or integers whose range the format does not tell.
    """
    import numpy as np
    from PIL import Image

    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        values = np.asarray(image).astype(np.float32) / 65535
    elif image.mode == "F":
        values = np.asarray(image)
        if not np.isfinite(values).all() or values.min(initial=0) < 0 or values.max(initial=0) > 1:
            raise UnusableImage("holds floats that are not in [0, 1], so their range isn't known")
    elif image.mode == "I":
        raise UnusableImage("holds 32-bit integers, whose range isn't known")
    else:
        try:
            return image.convert("RGB")
        except Exception as error:  # a lazy picture of a library breaks here
            raise UnusableImage(f"can't be decoded: {error}") from None
    grey = (values.clip(0, 1) * 255).round().astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


def as_image(value: Any) -> Image:
    """Turn what a library gives (bytes, a mapping with `bytes` or `path`, a picture, an open file) into an RGB picture.

    Raises:
        UnusableImage: it can't be decoded.
    """
    from PIL import Image

    if isinstance(value, Mapping):
        value = value.get("bytes") or (Path(value["path"]) if value.get("path") else None)
    if isinstance(value, Image.Image):
        return to_rgb(value)
    if hasattr(value, "read"):
        with value as file:
            value = file.read()
    return decode(value if isinstance(value, Path) else bytes(value or b""))


def is_picture(name: str) -> bool:
    """Say whether a file of that name is taken for a photo: not hidden, and one of `SUFFIXES`."""
    base = name.rpartition("/")[2]
    return not base.startswith(".") and Path(base).suffix.lower() in SUFFIXES
