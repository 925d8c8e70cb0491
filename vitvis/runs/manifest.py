"""The manifest: what a run is, on which machine and versions, and the command that made it."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
import shlex
import sys
from pathlib import Path
from typing import Any

from vitvis.errors import VitvisError
from vitvis.runs.ledger import Ledger
from vitvis.runs.reading import plain_name, read_json

__all__ = ["COPY", "KINDS", "NAME", "command_line", "difference", "new_manifest", "read_manifest", "versions"]

NAME = "manifest.json"
#: The same bytes again: without its manifest nobody can say whether a folder holds the run that is to go on.
COPY = ".manifest.json"
KINDS = ("fit", "search", "evaluate", "judge", "sweep", "dictionary")
_PACKAGES = ("torch", "torchvision", "timm", "pytorch-lightning", "kornia", "torchmetrics", "numpy", "pillow")


def read_manifest(path: str | Path) -> dict[str, Any]:
    """Return the manifest of a run folder; where it is damaged, its copy.

    Raises:
        VitvisError: the folder isn't there, is no run, or its manifest and the copy are damaged.
    """
    path = Path(path)
    if not path.is_dir():
        raise VitvisError(f"{path}: no such folder")
    if not (path / NAME).is_file() and not (path / COPY).is_file():
        raise VitvisError(f"{path}: is no run folder (it has no {NAME})")
    ledger, problem = Ledger(path), None
    for name in (NAME, COPY):
        try:
            manifest = read_json(path / name)
            _check(manifest, path / name)
            if name in ledger.known and not ledger.is_whole(name):
                raise VitvisError(f"{path / name}: is damaged (it is not what was written)")
            return manifest
        except VitvisError as error:
            problem = problem or error
    raise VitvisError(f"{problem}; without it nothing can go on there: choose another folder") from None


def _check(manifest: Any, path: Path) -> None:
    """Look at the shape of what readers take for granted."""
    if not isinstance(manifest, dict) or not isinstance(manifest.get("kind"), str):
        raise VitvisError(f"{path}: is no manifest of vitvis")
    if manifest["kind"] not in KINDS:
        raise VitvisError(f"{path}: is a run of kind '{manifest['kind']}'; there are {', '.join(KINDS)}")
    shapes = {"backbone": dict, "recipe": dict, "units": (list, int), "seeds": list, "chunk": int}
    for name, shape in shapes.items():
        if manifest.get(name) is not None and not isinstance(manifest[name], shape):  # type: ignore[arg-type]
            raise VitvisError(f"{path}: {name} is not what vitvis writes there")
    sites = (manifest.get("backbone") or {}).get("sites") or []
    if not isinstance(sites, list) or any(
        not isinstance(site, dict) or not plain_name(site.get("name")) for site in sites
    ):
        raise VitvisError(f"{path}: backbone.sites is not what vitvis writes there")


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
