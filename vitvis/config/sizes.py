"""How an image size is written: the one place that reads it."""

from __future__ import annotations

import re
from typing import Any

from vitvis.config.values import is_null
from vitvis.errors import VitvisError

__all__ = ["LARGEST_SIDE", "SMALLEST_SIDE", "parse_image_size", "read_image_size"]

SMALLEST_SIDE, LARGEST_SIDE = 8, 8192  #: px; smaller pictures show nothing, larger ones fill no screen and any memory


def read_image_size(value: Any) -> tuple[int, int] | None:
    """Return rows and columns, or None for the model's own size.

    Args:
        value: one side (`224`, `"224"`), rows and columns (`(192, 256)`, `"192x256"`, `"[192, 256]"`), or nothing.

    Raises:
        VitvisError: it can't be read, or a side is outside of 8 to 8192 px.
    """
    if is_null(value):
        return None
    if isinstance(value, str):
        text = value.strip()
        inner = text[1:-1] if text[:1] + text[-1:] in ("[]", "()") else text
        match = re.fullmatch(r"\s*(\d{1,9})\s*(?:[x,]\s*(\d{1,9})\s*)?", inner)
        sides = [int(side) for side in match.groups() if side is not None] if match else []
    else:
        items = list(value) if isinstance(value, list | tuple) else [value]
        sides = [int(item) for item in items if _whole(item)]
        sides = sides if len(sides) == len(items) else []
    shown = str(value)[:40]
    if len(sides) not in (1, 2):
        raise VitvisError(f"image_size {shown}: write a side in pixels, or ROWSxCOLUMNS, such as 224 or 192x256")
    if not SMALLEST_SIDE <= min(sides) <= max(sides) <= LARGEST_SIDE:
        raise VitvisError(f"image_size {shown}: sides are {SMALLEST_SIDE} to {LARGEST_SIDE} px")
    return sides[0], sides[-1]


def parse_image_size(value: Any) -> int | list[int] | None:
    """Read the setting `image_size`: null, one side where the image is square, or [rows, columns].

    Raises:
        VitvisError: see `read_image_size`.
    """
    size = read_image_size(value)
    return None if size is None else size[0] if size[0] == size[1] else list(size)


def _whole(item: Any) -> bool:
    if isinstance(item, bool):
        return False
    if isinstance(item, str):
        return bool(re.fullmatch(r"\s*\d{1,9}\s*", item))
    return isinstance(item, int) and abs(item) < 10**9 or isinstance(item, float) and item.is_integer()
