"""What must not leave the machine with an atlas: where things lie on it."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["tidy", "tidy_value", "without_paths"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TEXT = (b"tEXt", b"iTXt", b"zTXt")
_STOP = r"\s'\"`,;\[\]{}()<>|"
_POSIX = re.compile(rf"(?<![\w./…~-])(?:~|\.\.)?/(?:[^/{_STOP}]+/)*([^/{_STOP}]+)/?")
_WINDOWS = re.compile(rf"\b[A-Za-z]:\\(?:[^\\{_STOP}]+\\)*([^\\{_STOP}]+)\\?")


def tidy(text: str) -> str:
    """Shorten absolute paths in a text to their last part: `data=/home/me/photos` becomes `data=…/photos`."""
    return _WINDOWS.sub(r"…/\1", _POSIX.sub(r"…/\1", text))


def tidy_value(value: Any) -> Any:
    """Return plain data with `tidy` applied to every text in it."""
    if isinstance(value, str):
        return tidy(value)
    if isinstance(value, Mapping):
        return {key: tidy_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [tidy_value(item) for item in value]
    return value


def without_paths(png: bytes) -> bytes:
    """Return a PNG without the text chunks that hold an absolute path; other bytes stay as they are."""
    if not png.startswith(_SIGNATURE):
        return png
    return _SIGNATURE + b"".join(chunk for kind, chunk in _chunks(png) if kind not in _TEXT or _is_tidy(chunk))


def _is_tidy(chunk: bytes) -> bool:
    text = chunk[8:-4].decode("utf-8", "replace").replace("\0", " ")
    return tidy(text) == text


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    start = len(_SIGNATURE)
    while start + 12 <= len(png):
        (length,) = struct.unpack(">I", png[start : start + 4])
        yield png[start + 4 : start + 8], png[start : start + 12 + length]
        start += 12 + length
