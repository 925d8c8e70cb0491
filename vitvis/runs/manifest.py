"""The manifest: what a run is, on which machine and versions, and the command that made it."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import platform
import shlex
import sys
from pathlib import Path
from typing import Any

from vitvis.errors import VitvisError

__all__ = ["command_line", "difference", "read_manifest", "new_manifest", "versions"]

NAME = "manifest.json"
_PACKAGES = ("torch", "torchvision", "timm", "pytorch-lightning", "kornia", "torchmetrics", "numpy", "pillow")


def read_manifest(path: str | Path) -> dict[str, Any]:
    """Return the manifest of a run folder.

    Raises:
        VitvisError: the folder isn't there, is no run, or its manifest is damaged.
    """
    path = Path(path)
    if not path.is_dir():
        raise VitvisError(f"{path}: no such folder")
    try:
        manifest = json.loads((path / NAME).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise VitvisError(f"{path}: is no run folder (it has no {NAME})") from None
    except ValueError as error:
        raise VitvisError(f"{path / NAME}: can't be read as JSON ({error})") from None
    if not isinstance(manifest, dict) or "kind" not in manifest:
        raise VitvisError(f"{path / NAME}: is no manifest of vitvis")
    return manifest


def new_manifest(kind: str) -> dict[str, Any]:
    """Return what every manifest begins with: kind, version, versions of libraries, command, time."""
    from vitvis import __version__

    return {
        "kind": kind,
        "vitvis": __version__,
        "versions": versions(),
        "command": command_line(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python, the platform and the libraries that images depend on."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def command_line() -> str:
    """Return the command of this process as a shell line; `python -m vitvis.fit`, not the path of its file."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    if spec is not None and str(spec.name).startswith("vitvis"):
        program = ["python", "-m", spec.name.removesuffix(".__main__")]
    else:
        program = [Path(sys.argv[0]).name or "python"]
    return shlex.join([*program, *sys.argv[1:]])


def difference(old: Any, new: Any, name: str = "") -> str | None:
    """Return `"optim.lr was 0.05, now 0.1"` for the first value of `new` that `old` has otherwise, or None."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key, value in new.items():
            found = difference(old.get(key), value, f"{name}.{key}" if name else str(key))
            if found:
                return found
        return None
    return None if old == new else f"{name} was {old}, now {new}"
