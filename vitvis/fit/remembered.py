"""What was measured once on this machine is remembered: `$XDG_CACHE_HOME/vitvis/speed.json`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch

from vitvis.runs import atomic_write

__all__ = ["cache_file", "device_name", "recall", "remember", "speed_key"]


def cache_file() -> Path | None:
    """Return the file, or None where there is no home for it (a service account, a container)."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        folder = Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache"
    except RuntimeError:  # no home directory
        return None
    return folder / "vitvis" / "speed.json"


def device_name(device: torch.device) -> str:
    """Return what a device is, with the number of threads where it is a CPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} x{torch.get_num_threads()}"


def speed_key(model: str, site: str, size: tuple[int, int], copies: int, device: torch.device, precision: str) -> str:
    """Return what a measurement belongs to; another torch measures anew."""
    rows, columns = size
    parts = (model, site, f"{rows}x{columns}", f"{copies} copies", device_name(device), precision, torch.__version__)
    return " | ".join(str(part) for part in parts)


def recall(key: str) -> dict[str, Any] | None:
    """Return what was remembered under a key; None where nothing was, or the file can't be read."""
    found = _read().get(key)
    return found if isinstance(found, dict) else None


def remember(key: str, values: dict[str, Any]) -> None:
    """Keep values under a key, beside those that are there; a cache that can't be written is no error."""
    path = cache_file()
    if path is None:
        return
    known = _read()
    known[key] = {**(known[key] if isinstance(known.get(key), dict) else {}), **values}
    try:
        atomic_write(path, (json.dumps(known, indent=1, sort_keys=True) + "\n").encode())
    except OSError:
        pass


def _read() -> dict[str, Any]:
    path = cache_file()
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path is not None else {}
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
