"""Files and folders that appear whole or not at all, whatever ends the process that writes them."""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

__all__ = [
    "TEMPORARY",
    "HashingFile",
    "atomic_file",
    "atomic_folder",
    "atomic_write",
    "half_written",
    "process_token",
    "remove_partials",
    "sha256_of",
    "utf8",
]

#: How names of half-written files and folders start and end; a reader skips them, the next run removes them.
TEMPORARY = (".", ".partial")
#: The end of the name of a folder that is about to be replaced, kept until the new one has its place.
_REPLACED = ".replaced.partial"
#: What a process of another machine has left is taken for dead when nothing has written to it for so long.
_FOREIGN_S = 24 * 3600.0
_NAME = re.compile(r"\.(?P<name>.*)\.(?P<token>[0-9a-f]{6}-\d+-\d+)(?P<end>\.replaced)?\.partial$", re.DOTALL)


class HashingFile(io.RawIOBase):
    """A file that is only written to, knows the SHA-256 of what went through it, and why a write failed.

    `torch.save` turns an `OSError` of the file into words of its own; `error` keeps it.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self._sum = hashlib.sha256()
        self.error: OSError | None = None

    def writable(self) -> bool:
        """Say yes."""
        return True

    def write(self, data: Any) -> int:
        """Write all of it."""
        view, done = memoryview(data).cast("B"), 0
        self._sum.update(view)
        try:
            while done < len(view):
                done += self._put(view[done:])
        except OSError as error:
            self.error = error
            raise
        return done

    def _put(self, data: memoryview) -> int:
        return self._file.write(data) or 0

    def digest(self) -> str:
        """Return the SHA-256 of everything written so far, 64 hex digits."""
        return self._sum.hexdigest()


@contextmanager
def atomic_file(
    path: str | Path, *, durable: bool = True, announce: Callable[[str], None] | None = None
) -> Iterator[HashingFile]:
    """Open a file for writing that takes its name when the block ends well; folders are made as needed.

    The bytes go to a hidden neighbour, reach the disk, and then take the name: a reader, or a restart after a kill,
    finds all of it or what was there before.

    Args:
        path: The file.
        durable: Wait until the bytes are on the disk, so that even a power cut leaves all or nothing. Not worth it
            for thousands of pictures that are easily drawn again.
        announce: Called with the SHA-256 of the whole just before the file takes its name.

    Raises:
        OSError: the disk is full, read-only, or not ours; names `path`, and the hidden neighbour is gone again.
    """
    path = Path(path)
    neighbour = _neighbour(path)
    sink: HashingFile | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(neighbour, "wb", buffering=0) as file:
            sink = HashingFile(file)
            yield sink
            if durable:
                os.fsync(file.fileno())
        if announce is not None:
            announce(sink.digest())
        os.replace(neighbour, path)
    except BaseException as error:
        with suppress(OSError):
            neighbour.unlink(missing_ok=True)
        cause = sink.error if sink is not None and not isinstance(error, OSError) else error
        if isinstance(cause, OSError):
            cause.filename = str(path)  # a full disk does not say which file it was
            raise cause from None
        raise


def atomic_write(
    path: str | Path, data: bytes, *, durable: bool = True, announce: Callable[[str], None] | None = None
) -> None:
    """Write a file whole or not at all; see `atomic_file`."""
    with atomic_file(path, durable=durable, announce=announce) as file:
        file.write(data)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Build a folder aside and put it in the place of `path` when the block ends well.

    What an earlier process left half-built beside `path` is removed first. The old folder, if there is one, is moved
    aside and removed only once the new one stands: a kill between the two is mended by the next call.

    Yields:
        The empty folder to build in.

    Raises:
        OSError: it can't be made there; nothing is left behind.
    """
    path = Path(path)
    remove_partials(path.parent.glob(f".{_glob_safe(_short(path.name))}.*{TEMPORARY[1]}"))
    building, old = _neighbour(path), _neighbour(path, _REPLACED)
    try:
        building.mkdir(parents=True)
        yield building
        if path.exists():
            os.replace(path, old)
        os.replace(building, path)
    except BaseException as error:
        if old.exists() and not path.exists():
            os.replace(old, path)
        if isinstance(error, OSError) and error.filename == str(building):
            error.filename = str(path)
        raise
    finally:
        shutil.rmtree(building, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def remove_partials(paths: Iterable[Path]) -> None:
    """Remove half-written files and half-built folders whose process is dead; never those of a live one.

    A folder that was moved aside by a process killed before the new one took its place goes back to it.
    """
    for path in list(paths):
        match = _NAME.match(path.name)
        if match is not None and _is_alive(match["token"], path):
            continue
        if match is not None and match["end"] and not path.with_name(match["name"]).exists():
            with suppress(OSError):
                os.replace(path, path.with_name(match["name"]))
        elif path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink(missing_ok=True)


def half_written(folder: Path) -> Iterator[Path]:
    """Yield the half-written files and half-built folders in a folder, at any depth."""
    for root, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            if name.startswith(TEMPORARY[0]) and name.endswith(TEMPORARY[1]):
                yield Path(root) / name
        folders[:] = [name for name in folders if not name.startswith(TEMPORARY[0])]


def utf8(text: str) -> bytes:
    r"""Encode a text, also one with a name that this process could not read when it was typed or listed.

    Such a name holds the bytes that it could not read (PEP 383). They come back as they were where they are UTF-8
    (`ä` under LANG=C), and stand as `\udce4`, as in JSON, where they are not: a file is UTF-8 whatever it names.
    """
    try:
        return text.encode()
    except UnicodeEncodeError:
        pass
    try:
        return text.encode(errors="surrogateescape").decode().encode()
    except UnicodeError:
        return text.encode(errors="backslashreplace")


def sha256_of(path: str | Path) -> str:
    """Return the SHA-256 of a file, 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def process_token() -> str:
    """Return what tells this process from all others, also from a later one with its number: `HOST-PID-START`."""
    pid = os.getpid()
    return f"{_host()}-{pid}-{_started(pid)}"


def _neighbour(path: Path, end: str = TEMPORARY[1]) -> Path:
    return path.with_name(f"{TEMPORARY[0]}{_short(path.name)}.{process_token()}{end}")


def _short(name: str) -> str:
    """Return a name that leaves room for ours around it: file systems take 255 bytes."""
    if len(name.encode(errors="surrogateescape")) <= 180:
        return name
    return hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:32]


def _glob_safe(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)


def _is_alive(token: str, path: Path) -> bool:
    host, pid, started = token.split("-")
    if host != _host():
        with suppress(OSError):
            return time.time() - path.stat().st_mtime < _FOREIGN_S
        return True
    if Path("/proc/self/stat").exists():
        return _started(int(pid)) == int(started)
    if os.name == "nt":  # asking there would end the process
        return time.time() - path.stat().st_mtime < _FOREIGN_S
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


@lru_cache(maxsize=1)
def _host() -> str:
    """Return six hex digits for this machine, or this container of it: process numbers mean nothing elsewhere."""
    space = ""
    with suppress(OSError):
        space = os.readlink("/proc/self/ns/pid")
    return hashlib.sha256(f"{socket.gethostname()} {space}".encode()).hexdigest()[:6]


def _started(pid: int) -> int:
    """Return when a process began, in ticks since the machine did; 0 where that can't be known, -1 for none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except FileNotFoundError:
        return -1 if Path("/proc/self/stat").exists() else 0
    except OSError:
        return 0
    return -1 if fields[0] in "ZX" else int(fields[19])
