"""The folder that an atlas is written into, and how many bytes it holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["Output", "clean_name", "quoted", "script"]


class Output:
    """A folder that is filled file by file.

    Args:
        folder: Where; made when the first file is written.
        limit: Bytes that what may be left out fills it up to.

    Attributes:
        size: Bytes written so far.
        promised: Bytes that have to be written later.
    """

    def __init__(self, folder: Path, limit: float) -> None:
        self.folder = folder
        self.limit = limit
        self.size = 0
        self.promised = 0

    @property
    def room(self) -> float:
        """Bytes left until the limit; negative beyond it."""
        return self.limit - self.size - self.promised

    def write(self, relative: str, data: bytes) -> None:
        """Write one file."""
        path = self.folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.size += len(data)

    def write_script(self, path: str, name: str, content: Any) -> None:
        """Write plain data as a script that hands it to the page under a name; fetch is blocked on `file://`."""
        self.write(path, script(name, content))


def script(name: str, content: Any) -> bytes:
    """Return plain data as a script that hands it to the page under a name."""
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return f'vitvis.put("{name}",{text});\n'.encode()


def clean_name(name: str) -> str:
    """Return a path that every file system and address takes: ASCII letters, digits, `._-/`."""
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "._-/") else "_" for letter in name)


def quoted(text: str) -> str:
    """Return a text as JavaScript's `encodeURIComponent` does."""
    from urllib.parse import quote

    return quote(text, safe="!~*'()")
