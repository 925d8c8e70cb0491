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


class FolderLock:
    """An exclusive lock on a run folder, held until `release` or the end of the process."""

    NAME = ".lock"
    HOLDER = ".lock.holder"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = filelock.FileLock(folder / self.NAME, thread_local=False)

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            VitvisError: another live process has it; names that process.
        """
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                self._lock.acquire(timeout=0)
                break
            except filelock.Timeout:
                holder = self._holder()
                if _is_gone(holder) and time.monotonic() < end:
                    time.sleep(0.1)
                    continue
                raise VitvisError(
                    f"{self.folder}: {holder or 'another process'} is working in this folder; wait for it, or choose "
                    "another out=FOLDER"
                ) from None
            except (OSError, NotImplementedError) as error:
                if isinstance(error, PermissionError):
                    raise
                return  # a file system without locks: no harm beyond two runs doing the same work
        with suppress(OSError):
            (self.folder / self.HOLDER).write_text(f"process {os.getpid()} on {socket.gethostname()}")

    def release(self) -> None:
        """Drop the lock and its files; does nothing when it isn't held."""
        if self._lock.is_locked:
            for name in (self.HOLDER, self.NAME):
                with suppress(OSError):
                    (self.folder / name).unlink(missing_ok=True)
            self._lock.release()

    def _holder(self) -> str:
        try:
            return (self.folder / self.HOLDER).read_text().strip()
        except (OSError, UnicodeDecodeError):
            return ""


def _is_gone(holder: str) -> bool:
    """Say whether the process that took a lock of this machine has ended, so that only its children hold it."""
    words = holder.split(" ")
    if len(words) != 4 or words[3] != socket.gethostname() or not Path("/proc/self").exists():
        return False
    return not Path(f"/proc/{words[1]}").exists()
