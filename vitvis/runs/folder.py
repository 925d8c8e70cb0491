"""The run folder: where a run leaves its files, so that nothing is lost and nothing is done twice."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitvis.config.core import to_yaml
from vitvis.errors import VitvisError
from vitvis.runs.files import TEMPORARY, atomic_write, save_png
from vitvis.runs.lock import FolderLock
from vitvis.runs.manifest import NAME as MANIFEST
from vitvis.runs.manifest import difference, new_manifest, read_manifest
from vitvis.runs.records import FOLDER as RECORDS
from vitvis.runs.records import encode_records, read_keys, read_records

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["RunFolder"]

#: Ranks that torchrun or SLURM started wait this long for rank 0 to open a new folder: it may have much to load.
PATIENCE_S = 1800.0


class RunFolder:
    """A folder of one run; make it with `RunFolder.open`.

    Attributes:
        path: The folder.
        manifest: What `manifest.json` says.
        resumed: Whether the folder held this run already.
    """

    def __init__(self, path: Path, manifest: dict[str, Any], *, resumed: bool, lock: FolderLock | None) -> None:
        self.path = path
        self.manifest = manifest
        self.resumed = resumed
        self._lock = lock

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        kind: str,
        settings: dict[str, Any],
        identity: dict[str, Any],
        details: dict[str, Any] | None = None,
        resume: bool = True,
        primary: bool = True,
    ) -> RunFolder:
        """Make the folder of a run, or go on in it.

        Args:
            path: The folder.
            kind: `fit`, `search`, `evaluate` or `sweep`.
            settings: Resolved settings, for `config.yaml`.
            identity: What has to be the same when a run goes on: backbone, recipe. Becomes part of the manifest.
            details: The rest of the manifest, which may change when a run goes on: units.
            resume: Whether a folder that holds this run already is welcome.
            primary: Whether this process is rank 0, which alone locks the folder and writes config and manifest. The
                others wait until it has: what they wrote before would make the folder look like somebody else's.

        Raises:
            VitvisError: the folder holds another run, is in use by a live one, or can't be written.
        """
        path = Path(path)
        if not primary:
            _await_manifest(path)
            _check_same(path, read_manifest(path), kind, json.loads(json.dumps(identity)), resume=True)
            return cls(path, {**identity, **(details or {})}, resumed=True, lock=None)
        if path.exists() and not path.is_dir():
            raise VitvisError(f"{path}: is a file; choose another out=FOLDER")
        existing = read_manifest(path) if (path / MANIFEST).exists() else None
        if existing is None and path.is_dir() and not _is_ours(path):
            raise VitvisError(f"{path}: holds other files and no run; choose another out=FOLDER")
        identity = json.loads(json.dumps(identity))
        if existing is not None:
            _check_same(path, existing, kind, identity, resume)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise VitvisError(f"{path}: can't be made ({error.strerror}); choose another out=FOLDER") from None
        lock = FolderLock(path)
        lock.acquire()
        folder = cls(path, existing or new_manifest(kind), resumed=existing is not None, lock=lock)
        try:
            _remove_half_written(path)
            folder.manifest |= identity | (details or {})
            folder.write_text("config.yaml", to_yaml(settings))
            folder.write_json(MANIFEST, folder.manifest)
        except BaseException:
            folder.close()
            raise
        return folder

    def write_shard(
        self, name: str, records: list[dict[str, Any]], images: Mapping[str, Image | bytes] | None = None
    ) -> None:
        """Write what one chunk made: its images first, then its records, so that a record never lacks its image.

        Args:
            name: Name of the shard, the same whenever the same work is done.
            records: One dict a unit.
            images: PNG bytes or pictures by path within the folder.
        """
        for relative, image in (images or {}).items():
            self.write_bytes(relative, image if isinstance(image, bytes) else save_png(image, {}))
        self.write_bytes(f"{RECORDS}/{name}.parquet", encode_records(records))

    def done(self, keys: Iterable[str] = ("address", "seed")) -> set[tuple[Any, ...]]:
        """Return the keys of all records that are there."""
        return read_keys(self.path, keys)

    def records(self) -> list[dict[str, Any]]:
        """Return all records that are there."""
        return read_records(self.path)

    def write_text(self, relative: str, data: str) -> Path:
        """Write a text file, atomically; return its path."""
        return self.write_bytes(relative, data.encode())

    def write_bytes(self, relative: str, data: bytes) -> Path:
        """Write a file, atomically; return its path."""
        atomic_write(self.path / relative, data)
        return self.path / relative

    def write_json(self, relative: str, data: Any) -> Path:
        """Write a JSON file, atomically; return its path."""
        return self.write_text(relative, json.dumps(data, indent=2, ensure_ascii=False) + "\n")

    def close(self) -> None:
        """Release the folder; may be called more than once."""
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _check_same(path: Path, existing: dict[str, Any], kind: str, identity: dict[str, Any], resume: bool) -> None:
    if existing["kind"] != kind:
        raise VitvisError(f"{path}: holds a run of vitvis.{existing['kind']}; choose another out=FOLDER")
    if not resume:
        raise VitvisError(f"{path}: holds a run already; choose another out=FOLDER")
    for key, value in identity.items():
        changed = difference(existing.get(key), value, key)
        if changed:
            raise VitvisError(f"{path}: holds another run ({changed}); choose another out=FOLDER")


def _await_manifest(path: Path) -> None:
    """Wait until rank 0 has made the folder a run."""
    end = time.monotonic() + PATIENCE_S
    while not (path / MANIFEST).exists():
        if time.monotonic() > end:
            raise VitvisError(f"{path}: rank 0 has not opened it in {PATIENCE_S:.0f} s; see what it says")
        time.sleep(0.05)


def _is_ours(path: Path) -> bool:
    """Say whether a folder without a manifest is empty, or the remains of a run killed before it had one."""
    return all(item.name.startswith(TEMPORARY[0]) or item.name == "config.yaml" for item in path.iterdir())


def _remove_half_written(path: Path) -> None:
    for item in path.rglob(f"{TEMPORARY[0]}*{TEMPORARY[1]}"):
        item.unlink(missing_ok=True)
