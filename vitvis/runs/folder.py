"""The run folder: where a run leaves its files, so that nothing is lost and nothing is done twice."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock

from vitvis.config.core import to_yaml
from vitvis.errors import VitvisError
from vitvis.runs.checkpoint import load_checkpoint, save_checkpoint
from vitvis.runs.checks import await_rank_0, check_before, check_folder, check_same, is_ours
from vitvis.runs.files import HashingFile, atomic_file, half_written, remove_partials, utf8
from vitvis.runs.ledger import Ledger, write_file
from vitvis.runs.lock import FolderLock
from vitvis.runs.manifest import COPY, new_manifest, read_manifest
from vitvis.runs.manifest import NAME as MANIFEST
from vitvis.runs.png import save_png
from vitvis.runs.records import FOLDER as RECORDS
from vitvis.runs.records import encode_records, find_finished, read_records

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["RunFolder"]

_log = logging.getLogger("vitvis")
#: Held for a moment by each shard that opens a folder, so that they do so one after the other.
_OPENING = ".lock-opening"


class RunFolder:
    """A folder of one run; make it with `RunFolder.open`.

    Attributes:
        path: The folder.
        manifest: What `manifest.json` says.
        resumed: Whether the folder held this run already.
        primary: Whether this process is rank 0, which alone mends what is damaged.
    """

    def __init__(
        self, path: Path, manifest: dict[str, Any], *, resumed: bool, lock: FolderLock | None, primary: bool = True
    ) -> None:
        self.path = path
        self.manifest = manifest
        self.resumed = resumed
        self.primary = primary
        self._lock = lock
        self._discarded = False

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        kind: str,
        settings: dict[str, Any],
        identity: dict[str, Any],
        details: Mapping[str, Any] | Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None,
        resume: bool = True,
        primary: bool = True,
        shard: str = "",
        adopt: Collection[str] = (),
    ) -> RunFolder:
        """Make the folder of a run, or go on in it.

        Args:
            path: The folder.
            kind: `fit`, `search`, `evaluate`, `judge` or `sweep`.
            settings: Resolved settings, for `config.yaml`.
            identity: What has to be the same when a run goes on: backbone, recipe. Becomes part of the manifest.
            details: The rest of the manifest, which may change when a run goes on: units. Or a function that returns it
                from the manifest that is there (empty where there is none).
            resume: Whether a folder that holds this run already is welcome.
            primary: Whether this process is rank 0, which alone locks the folder and writes config and manifest. The
                others wait until it has: what they wrote before would make the folder look like somebody else's.
            shard: Name of the share that this process works on, `3-of-8`, beside live processes of other shards.
            adopt: Keys of the identity in which a folder that is there already has its way.

        Raises:
            VitvisError: the folder holds another run, is in use by a live one, or can't be written.
        """
        path = Path(path)
        identity = json.loads(json.dumps(identity))
        own = {key: identity.pop(key) for key in adopt}  # holds for a folder that does not say
        if not primary:
            await_rank_0(path, kind, identity)
            return cls(path, read_manifest(path), resumed=True, lock=None, primary=False)
        check_before(path, kind, identity, resume)
        try:
            path.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(path / _OPENING) if shard else nullcontext():
                lock = FolderLock(path, shard)
                lock.acquire()
                folder = cls(path, {}, resumed=False, lock=lock)
                try:
                    folder._begin(kind, settings, identity, details, own)
                except BaseException:
                    folder.close()
                    raise
        except OSError as error:
            raise VitvisError(f"{path}: can't be written ({error.strerror}); choose another out=FOLDER") from None
        return folder

    def _begin(
        self,
        kind: str,
        settings: dict[str, Any],
        identity: dict[str, Any],
        details: Mapping[str, Any] | Callable[[Mapping[str, Any]], Mapping[str, Any]] | None,
        adopted: Mapping[str, Any],
    ) -> None:
        """Write what a run writes before its first result; the lock is held."""
        assert self._lock is not None
        others = [name for name in FolderLock.live_shards(self.path) if name != self._lock.shard]
        if self._lock.shard:
            if FolderLock(self.path).is_held():
                raise VitvisError(f"{self.path}: a run that is no shard is working in this folder; wait for it")
        elif others:
            raise VitvisError(f"{self.path}: the shard {others[0]} is being worked on in this folder; wait for it")
        existing = check_folder(self.path, kind)
        if existing is None and others:  # they have not made anything yet
            existing = read_manifest(self.path)
        if existing is not None:
            check_same(self.path, existing, kind, identity)
        if not self._lock.shard:  # of live shards everything is left alone
            remove_partials(half_written(self.path))
            Ledger(self.path).settle()
        self.resumed, before = existing is not None, existing or new_manifest(kind)
        own = details(existing or {}) if callable(details) else details
        kept = {key: before.get(key, value) for key, value in adopted.items()}
        self.manifest = before | identity | kept | dict(own or {})
        if others and existing is not None and self._says_the_same(existing):
            return
        self.write_text("config.yaml", to_yaml(settings))
        self.write_json(COPY, self.manifest)
        self.write_json(MANIFEST, self.manifest)

    def _says_the_same(self, manifest: Mapping[str, Any]) -> bool:
        """Say whether the manifest differs in the command alone: of shards, who comes later writes nothing."""
        return {**json.loads(json.dumps(self.manifest)), "command": None} == {**manifest, "command": None}

    @classmethod
    def reopen(cls, path: str | Path, kind: str, *, patience: float = 0.0) -> RunFolder:
        """Open the folder of a run as it is, to sum it up; shards may be working in it.

        Args:
            path: The folder.
            kind: Of the run.
            patience: Seconds to wait for another process that has it.

        Raises:
            VitvisError: there is no such run, or a live one is working in the folder.
        """
        path = Path(path)
        manifest = check_folder(path, kind)
        if manifest is None:
            raise VitvisError(f"{path}: holds no run of vitvis.{kind} that has made anything")
        lock = FolderLock(path)
        lock.acquire(patience)
        return cls(path, manifest, resumed=True, lock=lock)

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

    def has_shard(self, name: str) -> bool:
        """Say whether records of a shard are there."""
        return (self.path / RECORDS / f"{name}.parquet").is_file()

    def done(
        self, keys: Iterable[str] = ("address", "seed"), asked: Collection[tuple[Any, ...]] = ()
    ) -> set[tuple[Any, ...]]:
        """Return the keys of all records that are there, whole, and with their picture whole.

        Damaged shards, and records whose picture is lost or damaged, are taken out of the folder by rank 0, with a
        line that says so: their work is to be done again.

        Args:
            keys: Columns whose values tell records apart.
            asked: What this run is to make. A shard that lacks a picture, and of which all is asked for, is done again
                as a whole, so that the folder is in the end what an undisturbed run leaves.
        """
        keys = list(keys)
        records, losses = find_finished(self.path)
        found = {tuple(record.get(key) for key in keys) for record in records}
        for loss in losses:
            own = {tuple(record.get(key) for key in keys) for record in loss.kept}
            whole = not own or own <= set(asked)
            found -= own if whole else set()
            if self.primary:
                _log.warning("%s; made again", loss.why)
            if self.primary and whole:
                self.remove(loss.relative)
            elif self.primary:
                self.write_bytes(loss.relative, encode_records(loss.kept))
        return found

    def records(self) -> list[dict[str, Any]]:
        """Return all records that are there."""
        return read_records(self.path)

    def is_whole(self, relative: str) -> bool:
        """Say whether a file is there and is what was written."""
        return Ledger(self.path).is_whole(relative)

    def damaged(self, *prefixes: str) -> list[str]:
        """Return files that this run has written and that are lost or are not what was written.

        Args:
            prefixes: Where to look: `records/`, `maps/`; everywhere when none is given.
        """
        return Ledger(self.path).damaged(*prefixes)

    def write_text(self, relative: str, data: str, *, durable: bool = True) -> Path:
        """Write a text file, atomically; return its path."""
        return self.write_bytes(relative, utf8(data), durable=durable)

    def write_bytes(self, relative: str, data: bytes, *, durable: bool = True) -> Path:
        """Write a file, atomically, and note its digest; return its path."""
        return write_file(self.path, relative, data, durable=durable)

    def write_json(self, relative: str, data: Any) -> Path:
        """Write a JSON file, atomically; return its path."""
        text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"  # reading brings a path back as it was
        return self.write_bytes(relative, text.encode("utf-8", "backslashreplace"))

    def stream(self, relative: str) -> AbstractContextManager[HashingFile]:
        """Open a file that is too large for memory; it takes its name, and its digest is noted, when the block ends."""
        note = Ledger(self.path).note
        return atomic_file(self.path / relative, announce=lambda digest: note(relative, digest))

    def save_checkpoint(self, relative: str, content: Mapping[str, Any]) -> None:
        """Keep tensors and plain values that a killed run goes on from (`vitvis.runs.checkpoint`)."""
        save_checkpoint(self.path / relative, content)

    def load_checkpoint(self, relative: str) -> dict[str, Any] | None:
        """Return what `save_checkpoint` kept; None where there is none, or it is damaged (it is then removed)."""
        return load_checkpoint(self.path / relative)

    def remove(self, relative: str) -> None:
        """Remove a file, or a folder of files, that is not needed any more."""
        path = self.path / relative
        ledger = Ledger(self.path)
        for name in [name for name in ledger.known if name == relative or name.startswith(f"{relative}/")]:
            ledger.forget(name)
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def discard(self) -> None:
        """Leave no folder behind when it is closed, unless it holds more than a run has in its beginning."""
        self._discarded = True

    def settle(self) -> bool:
        """Join the ledger and remove what dead shards have left; say whether that could be done.

        It can't while shards other than this process's are being worked on.
        """
        own = self._lock.shard if self._lock is not None else ""
        if any(name != own for name in FolderLock.live_shards(self.path)):
            return False
        FolderLock.forget_shards(self.path, but=own)
        remove_partials(half_written(self.path))
        with suppress(OSError):  # a full disk: the parts are joined by the next run
            Ledger(self.path).settle()
            (self.path / _OPENING).unlink(missing_ok=True)
        return True

    def close(self) -> None:
        """Join the ledger and release the folder; may be called more than once."""
        if self._lock is not None and self._discarded and is_ours(self.path):
            self._lock.release()
            shutil.rmtree(self.path, ignore_errors=True)
        elif self._lock is not None:
            self.settle()
            self._lock.release()
        self._lock = None

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
