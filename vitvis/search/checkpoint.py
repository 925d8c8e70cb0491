"""The state of each rank on disk: what a killed search goes on from, and what rank 0 joins at the end."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import IO, Any, cast

import torch

from vitvis.errors import VitvisError
from vitvis.search.state import SearchState

__all__ = ["FOLDER", "load_state", "save_state", "state_path"]

FOLDER = "state"


def state_path(out: Path, rank: int, world: int) -> Path:
    """Return the file of one rank's state."""
    return out / FOLDER / f"rank-{rank}-of-{world}.pt"


class _Writer:
    """A file that remembers why a write failed, which torch does not."""

    def __init__(self, file: io.RawIOBase) -> None:
        self.file, self.error = file, None

    error: OSError | None

    def write(self, data: Any) -> int:
        """Write all of it."""
        view, done = memoryview(data).cast("B"), 0
        try:
            while done < len(view):
                done += self._put(view[done:])
        except OSError as error:
            self.error = error
            raise
        return done

    def _put(self, data: memoryview) -> int:
        return self.file.write(data) or 0

    def flush(self) -> None:
        """Do nothing: there is no buffer."""


def save_state(state: SearchState, path: Path) -> None:
    """Write a state, whole or not at all; it goes straight to the disk, with no second copy of it in memory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    neighbour = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(neighbour, "wb", buffering=0) as file:
            writer = _Writer(file)
            try:
                torch.save(state.pack(), cast(IO[bytes], writer))
            except RuntimeError:  # torch's own words for a write that failed
                raise writer.error or AssertionError("torch.save failed, and no write did") from None
            os.fsync(file.fileno())
        os.replace(neighbour, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        neighbour.unlink(missing_ok=True)


def load_state(path: Path, device: torch.device | str = "cpu") -> SearchState | None:
    """Read a state; None where there is none.

    Raises:
        VitvisError: another number of processes began this search, or the file is damaged.
    """
    if not path.is_file():
        world = path.stem.rpartition("-of-")[2]
        others = sorted(item for item in path.parent.glob("rank-*-of-*.pt") if not item.stem.endswith(f"-of-{world}"))
        if others:
            began = others[0].stem.rpartition("-of-")[2]
            raise VitvisError(
                f"{path.parent.parent}: this search was begun by {began} process(es) and is gone on with by {world}; "
                f"run it with trainer.devices={began}, or choose another out=FOLDER"
            )
        return None
    try:
        return SearchState.unpack(torch.load(path, map_location="cpu", weights_only=True), device)
    except Exception as error:  # torch raises RuntimeError, UnpicklingError, EOFError, KeyError ...
        raise VitvisError(f"{path}: can't be read ({type(error).__name__}); remove it and run again") from None
