"""Listing folders, the same for every kind of data."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from vitvis.data.decode import SUFFIXES, is_picture
from vitvis.data.source import Request
from vitvis.errors import VitvisError, nearest

__all__ = ["find_child", "images_in", "of_split", "open_folder", "printable", "subfolders"]

T = TypeVar("T")
#: Names that a split goes by; `val` of one is `validation` of another.
_VALIDATION = ("val", "validation", "valid")
_SPLITS = (*_VALIDATION, "train", "training", "test", "dev", "eval")


def open_folder(request: Request) -> Path:
    """Return the folder that is asked for, or its subfolder `SPLIT`.

    Raises:
        VitvisError: there is none.
    """
    path = request.folder
    if not path.is_dir():
        siblings = [str(item) for item in path.parent.iterdir() if item.is_dir()] if path.parent.is_dir() else []
        problem = (
            "is a file; give the folder it is in" if path.is_file() else f"no such folder{nearest(str(path), siblings)}"
        )
        raise VitvisError(f"{request.spec}: {problem}")
    if request.split is None:
        return path
    if not (path / request.split).is_dir():
        folders = subfolders(path)
        raise VitvisError(f"split={request.split}: no folder {path / request.split}{nearest(request.split, folders)}")
    return path / request.split


def images_in(folder: Path, wanted: Callable[[str], bool] = is_picture) -> list[str]:
    """Return the paths of all photos below a folder, relative and with `/`, sorted; hidden ones are left out.

    Links are followed, but not back into a folder that they lie in.

    Raises:
        VitvisError: a folder can't be listed, so that photos would be missing without a word.
    """

    def fail(error: OSError) -> None:
        raise VitvisError(f"{error.filename}: can't be listed ({error.strerror})")

    found, above = [], {str(folder): frozenset({_identity(folder)})}
    for parent, folders, files in os.walk(folder, followlinks=True, onerror=fail):
        own = above.pop(parent)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in list(folders):
            inside = os.path.join(parent, name)
            identity = _identity(inside)
            if identity in own:
                folders.remove(name)
            else:
                above[inside] = own | {identity}
        prefix = os.path.relpath(parent, folder).replace(os.sep, "/")
        found += [name if prefix == "." else f"{prefix}/{name}" for name in files if wanted(name)]
    return sorted(found)


def printable(name: str) -> str:
    """Return a file's name as text, the same in every locale; bytes that are no UTF-8 are written out."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _identity(path: str | Path) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def no_images(request: Request, where: str = "images") -> VitvisError:
    """Return the error that says what a photo is."""
    return VitvisError(f"{request.spec}: holds no {where}; images end in {', '.join(sorted(SUFFIXES))}")


def subfolders(folder: Path) -> list[str]:
    """Return the names of the folders in a folder, sorted."""
    return sorted(item.name for item in folder.iterdir() if item.is_dir() and not item.name.startswith("."))


def find_child(folder: Path, names: Iterable[str]) -> Path | None:
    """Return the first of the given paths below a folder that exists, or None."""
    return next((folder / name for name in names if (folder / name).exists()), None)


def of_split(names: Sequence[str], request: Request, what: str) -> tuple[list[str], str]:
    """Return the files of a split, and its name.

    A file belongs to a split by its name (`val-0003.tar`, `validation.parquet`) or its folder (`val/part-0.parquet`).
    Without `split=`, files whose names tell no split are all taken, else those of `val`.

    Args:
        names: Paths of the files, relative, with `/`.
        request: What is asked for.
        what: What the files are, for errors: `.parquet files`.

    Raises:
        VitvisError: none belongs to it; names the splits that are there.
    """
    splits = {name: _split_of(name) for name in names}
    if request.split is None and not any(splits.values()):
        return list(names), ""
    asked = (request.split or "val").lower()
    chosen = [name for name in names if splits[name] == ("val" if asked in _VALIDATION else asked)]
    chosen = chosen or [name for name in names if request.split and name.rpartition("/")[2].startswith(request.split)]
    if not chosen:
        there = ", ".join(sorted({split for split in splits.values() if split})) or "no splits by name"
        raise VitvisError(f"{request.spec} split={asked}: holds no {what} of that split (there are: {there})")
    return chosen, asked


def _split_of(name: str) -> str:
    """Return the split that a path names, `val` for all words that mean it; nothing where it names none."""
    *folders, file = name.lower().split("/")
    for part in (re.split(r"[-_.\d]", file)[0], *reversed(folders)):
        if part in _SPLITS:
            return "val" if part in _VALIDATION else part
    return ""
