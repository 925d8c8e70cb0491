"""One live run a folder: an advisory lock that the system drops when the process ends, however it ends."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import IO

from vitvis.errors import VitvisError

try:
    import fcntl
except ImportError:  # Windows: no advisory locks, and no harm beyond two runs doing the same work
    fcntl = None  # type: ignore[assignment]

__all__ = ["FolderLock"]


class FolderLock:
    """An exclusive lock on a run folder, held until `release` or the end of the process."""

    NAME = ".lock"

    def __init__(self, folder: Path) -> None:
        self.path = folder / self.NAME
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            VitvisError: another live process has it; names that process.
        """
        self._file = open(self.path, "a+")
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not self._is_current():  # its last holder removed the file between our two calls
                self._file.close()
                return self.acquire()
        except BlockingIOError:
            self._file.seek(0)
            holder = self._file.read().strip() or "another process"
            self._file.close()
            self._file = None
            raise VitvisError(
                f"{self.path.parent}: {holder} is working in this folder; wait for it, or choose another out=FOLDER"
            ) from None
        except OSError:  # a file system without locks
            return
        self._file.truncate(0)
        self._file.write(f"process {os.getpid()} on {socket.gethostname()}")
        self._file.flush()

    def _is_current(self) -> bool:
        assert self._file is not None
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), os.stat(self.path))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Drop the lock and its file; does nothing when it isn't held."""
        if self._file is not None:
            self.path.unlink(missing_ok=True)
            self._file.close()
            self._file = None
