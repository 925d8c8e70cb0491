"""Paths in settings: the home folder, what can be no path, and what has to be there."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Literal, TypeAlias

from vitvis.config.limits import LENGTH, NAME
from vitvis.config.values import shown
from vitvis.errors import VitvisError

__all__ = ["Path_", "check_path", "expand_user", "looks_like_a_path"]

#: What a path leads to: a file or a folder that is there, `weights` (a word, or a file that is there), a folder to
#: write into, or whatever a command finds (`any`).
Path_: TypeAlias = Literal["file", "folder", "weights", "out", "any"]

#: `~/` at the start, and after `KIND:`, `KIND/` or `SITE@`.
_HOME = re.compile(r"(^|^[a-z][a-z0-9-]*[:/]|@|^[-+]?image:)~(?=/|$)")
#: Folders that hold no files of anybody's.
_SYSTEM = ("/proc", "/sys", "/dev")


def expand_user(value: Any) -> Any:
    """Put the home folder in the place of `~` in a text, or in each text of a list."""
    if isinstance(value, list | tuple):
        return [expand_user(item) for item in value]
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str):
        return value
    value = os.path.expanduser(value) if re.match(r"~\w+/", value) else value
    return _HOME.sub(lambda match: match[1] + str(Path.home()), value)


def looks_like_a_path(text: str) -> bool:
    """Say whether weights are a file and not one of the words and tags that stand for some."""
    return bool(re.search(r"[/\\]|\.(safetensors|pth|pt|ckpt|bin|npz|tar)$", text, re.IGNORECASE))


def check_path(value: Any, kind: Path_, where: str) -> None:
    """Check a path of a setting.

    Raises:
        VitvisError: it can be none, or leads to something else than `kind` says.
    """
    if not isinstance(value, str):
        return
    if "\0" in value:
        raise VitvisError(f"{where}={shown(value)}: a path has no NUL in it")
    longest = max((len(os.fsencode(name)) for name in value.split("/")), default=0)
    if kind != "any" and (longest > NAME or len(os.fsencode(value)) > LENGTH):
        raise VitvisError(f"{where}={shown(value)}: too long; a name has at most {NAME} bytes, a path {LENGTH:,}")
    path = Path(value)
    if kind != "any" and re.match(r"~\w+/", value):
        raise VitvisError(f"{where}={value}: there is no user {value[1:].partition('/')[0]}; a folder is ./{value}")
    if kind == "file" and not path.is_file():
        raise VitvisError(f"{where}={value}: {'is a folder, not a file' if path.is_dir() else 'no such file'}")
    if kind == "folder" and not path.is_dir():
        raise VitvisError(f"{where}={value}: {'is no folder' if path.exists() else 'no such folder'}")
    if kind == "weights" and looks_like_a_path(value) and not path.exists():
        raise VitvisError(f"{where}={value}: no such file")
    if kind == "out":
        _check_out(path, where)


def _check_out(path: Path, where: str) -> None:
    """Check that a folder can be made: no file is in the way, and somebody may write there."""
    try:
        above = next(folder for folder in (path, *path.absolute().parents) if folder.exists() or folder.is_symlink())
    except OSError as error:
        raise VitvisError(f"{where}={path}: {error.strerror or error}") from None
    if not above.is_dir():
        raise VitvisError(f"{where}={path}: {above} is no folder; choose another one")
    if str(above.resolve()).startswith(_SYSTEM) or not os.access(above, os.W_OK | os.X_OK):
        raise VitvisError(f"{where}={path}: nothing can be written in {above}; choose another folder")
