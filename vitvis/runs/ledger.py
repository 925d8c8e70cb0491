"""The ledger of a run folder: the SHA-256 of every file a run has written, so that a damaged one is known.

`SHA256SUMS` has the format of coreutils: `cd RUN && sha256sum --check SHA256SUMS` verifies a folder without vitvis.
While a run goes on, each process appends to a file of its own in `.sums/`; the digest is noted *before* the file takes
its name, so that a kill between the two leaves two digests for one file, and the file has one of them. The first line
of `SHA256SUMS`, a comment to coreutils, is the digest of the others: a ledger that is damaged itself accuses no file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from vitvis.runs.files import atomic_write, process_token, sha256_of

__all__ = ["NAME", "PARTS", "Ledger", "write_file"]

NAME = "SHA256SUMS"
PARTS = ".sums"
_GONE = "0" * 64  # in place of a digest: the run itself has removed the file
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
_OWN = re.compile(rb"# ([0-9a-f]{64})\n")


class Ledger:
    """Digests of the files of one run folder.

    Args:
        folder: The run folder; one without a ledger, of an older version, knows no digest.

    Attributes:
        known: Digests by path within the folder; more than one where a file was written again, and a kill may have
            left the one or the other.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.known: dict[str, set[str]] = {}
        self.read()

    def read(self) -> None:
        """Read again what all processes have noted; lines that are broken off or damaged are left out."""
        self.known = {}
        for relative, digest in self._lines():
            if digest == _GONE:
                self.known.pop(relative, None)
            else:
                self.known.setdefault(relative, set()).add(digest)

    def note(self, relative: str, digest: str) -> None:
        """Write down the digest of a file that is about to take its name."""
        part = self.folder / PARTS / process_token()
        part.parent.mkdir(exist_ok=True)
        with open(part, "ab") as file:
            file.write(f"{digest}  {relative}\n".encode(errors="surrogateescape"))
        if digest == _GONE:
            self.known.pop(relative, None)
        else:
            self.known.setdefault(relative, set()).add(digest)

    def forget(self, relative: str) -> None:
        """Write down that a file is to be gone."""
        self.note(relative, _GONE)

    def is_whole(self, relative: str) -> bool:
        """Say whether a file is there and is what was written.

        A file that the ledger does not know (of an older version, or after a power cut) counts when it can be read.
        """
        path = self.folder / relative
        if not path.is_file():
            return False
        digests = self.known.get(relative)
        try:
            return _can_be_read(path) if digests is None else sha256_of(path) in digests
        except OSError:
            return False

    def damaged(self, *prefixes: str) -> list[str]:
        """Return the files below some paths that are lost, or are not what was written.

        Args:
            prefixes: `records/`, `maps/`, `summary.json`; all files when none is given.
        """
        return [
            relative
            for relative in sorted(self.known)
            if (not prefixes or relative.startswith(prefixes)) and not self.is_whole(relative)
        ]

    def settle(self) -> None:
        """Join what the processes have noted into `SHA256SUMS`, one digest a file.

        A file that was only ever noted, and never took its name, leaves no line.
        """
        parts = self._parts()
        if not parts:
            return
        before = {relative for relative, _ in self._lines([self.folder / NAME])}
        self.read()
        lines = []
        for relative, digests in sorted(self.known.items()):
            path = self.folder / relative
            if not path.is_file() and relative not in before:
                continue
            if len(digests) > 1 and path.is_file():
                digests = digests & {sha256_of(path)} or digests
            lines.append(f"{min(digests)}  {relative}\n")
        content = "".join(lines).encode(errors="surrogateescape")
        atomic_write(self.folder / NAME, f"# {hashlib.sha256(content).hexdigest()}\n".encode() + content)
        for part in parts:
            part.unlink(missing_ok=True)
        with suppress(OSError):
            (self.folder / PARTS).rmdir()
        self.read()

    def _parts(self) -> list[Path]:
        try:
            found = [Path(item.path) for item in os.scandir(self.folder / PARTS) if item.is_file()]
        except OSError:
            return []
        return sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name))

    def _lines(self, files: Sequence[Path] | None = None) -> Iterator[tuple[str, str]]:
        for path in files or [self.folder / NAME, *self._parts()]:
            try:
                data = path.read_bytes()
            except OSError:
                continue
            own = _OWN.match(data)
            if own is not None and hashlib.sha256(data[own.end() :]).hexdigest() != own[1].decode():
                continue
            text = data.decode(errors="surrogateescape")
            whole, _, _ = text.rpartition("\n")  # what follows the last line's end was broken off by a kill
            for line in whole.split("\n"):
                match = _LINE.fullmatch(line)
                if match is not None:
                    yield match[2], match[1]


def write_file(folder: str | Path, relative: str, data: bytes, *, durable: bool = True) -> Path:
    """Write a file of a run folder, whole or not at all, and note its digest; return its path.

    Args:
        folder: The run folder.
        relative: The path within it.
        data: The content.
        durable: Wait for the disk (`vitvis.runs.files.atomic_file`).
    """
    ledger = Ledger.__new__(Ledger)  # to note takes no reading
    ledger.folder, ledger.known = Path(folder), {}
    path = ledger.folder / relative
    atomic_write(path, data, durable=durable, announce=lambda digest: ledger.note(relative, digest))
    return path


def _can_be_read(path: Path) -> bool:
    """Say whether a file without a digest holds what its name says, as far as that can be told."""
    suffix = path.suffix.lower()
    try:
        if suffix in (".png", ".jpg", ".jpeg", ".webp"):
            from PIL import Image

            with Image.open(path) as image:
                image.load()
        elif suffix == ".parquet":
            import pyarrow.parquet as pq

            pq.ParquetFile(path).read()
        elif suffix == ".json":
            json.loads(path.read_bytes())
        elif suffix == ".npy":
            import numpy as np

            np.load(path, mmap_mode="r", allow_pickle=False)
        else:
            return path.stat().st_size > 0
    except Exception:  # readers raise what they like, and each of it says no
        return False
    return True
