"""Open a picture that may be damaged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["open_picture"]


def open_picture(path: str | Path) -> Image | None:
    """Return a picture as RGB; None where it is not there, is damaged, or is larger than any of ours."""
    from PIL import Image

    try:
        with Image.open(path) as opened:
            return opened.convert("RGB")
    except (OSError, SyntaxError, ValueError, MemoryError, Image.DecompressionBombError):
        return None
