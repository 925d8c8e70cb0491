"""One live run a folder: a lock that the system drops when the process ends, however it ends."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from pathlib import Path

import filelock

from vitvis.errors import VitvisError

__all__ = ["FolderLock"]

#: Workers of a killed run keep its lock until they notice that it is gone, which takes torch's a few seconds.
PATIENCE_S = 20.0
#: One that looks whether a shard is alive has its lock for a moment.
LOOK_S = 0.5


class FolderLock:
    """An exclusive lock on a run folder, or on the share of one shard in it; held until `release` or the end.

    Args:
        folder: The run folder.
        shard: Name of a shard, `3-of-8`; the whole folder when empty.
    """

    NAME = ".lock"

    def __init__(self, folder: Path, shard: str = "") -> None:
        self.folder = folder
        self.shard = shard
        self._path = folder / (f"{self.NAME}.{shard}" if shard else self.NAME)
        self._holder_path = self._path.with_name(f"{self._path.name}.holder")
        self._lock = filelock.FileLock(self._path, thread_local=False)

    def is_held(self) -> bool:
        """Say whether another live process has the lock."""
        if not self._path.exists():
            return False
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            return True
        except (OSError, NotImplementedError):
            return False
        self._lock.release()
        return False

    @classmethod
    def live_shards(cls, folder: Path) -> list[str]:
        """Return the names of the shards that live processes are working on."""
        names = [path.name.removeprefix(f"{cls.NAME}.") for path in folder.glob(f"{cls.NAME}.*-of-*")]
        return [name for name in sorted(names) if not name.endswith(".holder") and cls(folder, name).is_held()]

    @classmethod
    def forget_shards(cls, folder: Path, but: str = "") -> None:
        """Remove the locks that dead shards have left, but for one."""
        for path in folder.glob(f"{cls.NAME}.*-of-*"):
            if path.name.removeprefix(f"{cls.NAME}.").removesuffix(".holder") != but:
                with suppress(OSError):
                    path.unlink(missing_ok=True)

    def acquire(self, patience: float = 0.0) -> None:
        """Take the lock.

        Args:
            patience: Seconds to wait for a live process that has it.

        Raises:
            VitvisError: another live process has it; names that process.
        """
        began = time.monotonic()
        while True:
            try:
                self._lock.acquire(timeout=0)
                break
            except filelock.Timeout:
                holder = self._holder()
                waited = time.monotonic() - began
                if waited < max(patience, LOOK_S) or (_is_gone(holder) and waited < PATIENCE_S):
                    time.sleep(0.1)
                    continue
                what = f"on the shard {self.shard} of this folder" if self.shard else "in this folder"
                raise VitvisError(
                    f"{self.folder}: {holder or 'another process'} is working {what}; wait for it, or choose "
                    "another out=FOLDER"
                ) from None
            except (OSError, NotImplementedError) as error:
                if isinstance(error, PermissionError):
                    raise
                return  # a file system without locks: no harm beyond two runs doing the same work
        with suppress(OSError):
            self._holder_path.write_text(f"process {os.getpid()} on {socket.gethostname()}")

    def release(self) -> None:
        """Drop the lock and its files; does nothing when it isn't held."""
        if self._lock.is_locked:
            for path in (self._holder_path, self._path):
                with suppress(OSError):
                    path.unlink(missing_ok=True)
            self._lock.release()

    def _holder(self) -> str:
        try:
            return self._holder_path.read_text().strip()
        except (OSError, UnicodeDecodeError):
            return ""


def _is_gone(holder: str) -> bool:
    """Say whether the process that took a lock of this machine has ended, so that only its children hold it."""
    words = holder.split(" ")
    if len(words) != 4 or words[3] != socket.gethostname() or not Path("/proc/self").exists():
        return False
    return not Path(f"/proc/{words[1]}").exists()
