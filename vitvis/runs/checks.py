"""Whether a run may live in a folder: asked before anything is written there."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from vitvis.errors import VitvisError
from vitvis.runs.files import TEMPORARY
from vitvis.runs.ledger import NAME as SUMS
from vitvis.runs.manifest import COPY, difference, read_manifest
from vitvis.runs.manifest import NAME as MANIFEST

__all__ = ["await_rank_0", "check_before", "check_folder", "check_path", "check_same", "is_ours"]

#: Ranks that torchrun or SLURM started wait this long for rank 0 to open a new folder: it may have much to load.
PATIENCE_S = 1800.0
#: What a run writes before its first result.
_BEGINNING = {"config.yaml", MANIFEST, SUMS}


def check_path(path: str | Path) -> Path:
    """Check that a path can be the name of a folder to write to, without touching it.

    Raises:
        VitvisError: it holds a zero byte, has a part that is too long, is a file or lies in one, or nobody may write
            there.
    """
    if "\0" in str(path):
        raise VitvisError(f"out={str(path)!r}: holds a zero byte, which no name can")
    path = Path(path)
    for part in path.parts:
        size = len(part.encode(errors="surrogateescape"))
        if size > 255:
            raise VitvisError(f"out={part[:40]}...: a name of {size} bytes; file systems take 255 at most")
    try:
        above = path
        while not os.path.lexists(above) and above.parent != above:
            above = above.parent
        if not above.is_dir():
            words = "is a file" if above == path else f"can't be made ({above} is a file)"
            raise VitvisError(f"{path}: {words}; choose another out=FOLDER")
        if not os.access(above, os.W_OK | os.X_OK):
            raise VitvisError(f"{path}: can't be written (permission denied for {above}); choose another out=FOLDER")
    except OSError as error:
        raise VitvisError(f"{str(path)[:200]}: can't be used ({error.strerror}); choose another out=FOLDER") from None
    return path


def check_folder(path: str | Path, kind: str) -> dict[str, Any] | None:
    """Check early, without touching it, whether a run of some kind may live in a folder.

    Returns:
        The manifest of the run that is there; None where there is none, or one that has not made anything yet.

    Raises:
        VitvisError: the path is none (`check_path`), or the folder holds other files or a run of another kind.
    """
    path = check_path(path)
    if not path.is_dir():
        return None
    if not (path / MANIFEST).exists() and not (path / COPY).exists():
        if not is_ours(path):
            raise VitvisError(f"{path}: holds other files and no run; choose another out=FOLDER")
        return None
    if is_ours(path):
        return None
    manifest = read_manifest(path)
    if manifest["kind"] != kind:
        raise VitvisError(f"{path}: holds a run of vitvis.{manifest['kind']}; choose another out=FOLDER")
    return manifest


def check_before(path: Path, kind: str, identity: dict[str, Any], resume: bool) -> None:
    """Refuse early what the lock need not be had for, so that nothing is written.

    Raises:
        VitvisError: the folder holds another run, or this one where `resume` is false.
    """
    existing = check_folder(path, kind)
    if existing is not None:
        check_same(path, existing, kind, identity)
        if not resume:
            raise VitvisError(f"{path}: holds a run already; choose another out=FOLDER")


def check_same(path: Path, existing: dict[str, Any], kind: str, identity: dict[str, Any]) -> None:
    """Check that the run of a folder is the one that is to go on.

    Raises:
        VitvisError: it is of another kind, or something of its identity is different; says what.
    """
    if existing["kind"] != kind:
        raise VitvisError(f"{path}: holds a run of vitvis.{existing['kind']}; choose another out=FOLDER")
    for key, value in identity.items():
        changed = difference(existing.get(key), value, key)
        if changed:
            raise VitvisError(f"{path}: holds another run ({changed}); choose another out=FOLDER")


def await_rank_0(path: Path, kind: str, identity: dict[str, Any]) -> None:
    """Wait until rank 0 has made the folder this run; one that has made nothing yet may still become it."""
    end = time.monotonic() + PATIENCE_S
    while True:
        if (path / MANIFEST).exists():
            try:
                return check_same(path, read_manifest(path), kind, identity)
            except VitvisError:
                if not is_ours(path):
                    raise
        if time.monotonic() > end:
            raise VitvisError(f"{path}: rank 0 has not opened it in {PATIENCE_S:.0f} s; see what it says")
        time.sleep(0.05)


def is_ours(path: Path) -> bool:
    """Say whether a folder is empty, or is a run that has not made anything: killed early, or given a bad setting."""
    return all(item.name.startswith(TEMPORARY[0]) or item.name in _BEGINNING for item in path.iterdir())
