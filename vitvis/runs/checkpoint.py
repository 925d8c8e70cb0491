"""One way to keep what a killed run goes on from: tensors and plain values, with a digest, whole or not at all."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, cast

from vitvis.runs.files import atomic_file

__all__ = ["load_checkpoint", "save_checkpoint"]

_log = logging.getLogger("vitvis")
#: Stands between torch's own bytes, which readers of zip files find whatever follows them, and their SHA-256.
_MARK = b"\nvitvis-sha256:"
_TAIL = len(_MARK) + 64


def save_checkpoint(path: str | Path, content: Mapping[str, Any], *, durable: bool = True) -> None:
    """Write tensors, numbers, texts, lists and dicts to a file; there is no second copy of them in memory.

    Args:
        path: The file; folders are made as needed.
        content: What to keep.
        durable: Wait for the disk.

    Raises:
        OSError: it can't be written; the file that was there before stays.
    """
    import torch

    with atomic_file(path, durable=durable) as file:
        torch.save(dict(content), cast(IO[bytes], file))
        file.write(_MARK + file.digest().encode())


def load_checkpoint(path: str | Path) -> dict[str, Any] | None:
    """Read what `save_checkpoint` wrote, on the CPU; None where there is none.

    A file that is not what was written is removed, and said to be so in one line: its work is done again.
    """
    import torch

    path = Path(path)
    if not path.is_file():
        return None
    try:
        if _is_whole(path):
            content = torch.load(path, map_location="cpu", weights_only=True)
            if isinstance(content, dict):
                return content
    except Exception:  # torch raises RuntimeError, UnpicklingError, EOFError, KeyError ...
        pass
    path.unlink(missing_ok=True)
    _log.warning("%s: is damaged and was removed; its work is done again", path)
    return None


def _is_whole(path: Path) -> bool:
    size = path.stat().st_size - _TAIL
    if size < 0:
        return False
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        left = size
        while left and (block := file.read(min(left, 1 << 20))):
            digest.update(block)
            left -= len(block)
        file.seek(size, os.SEEK_SET)
        return file.read() == _MARK + digest.hexdigest().encode()
