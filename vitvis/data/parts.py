"""What each process has found so far, in `OUT/state/`: what a killed run goes on from, and what is joined at the end.

A part holds the numbers of the batches that are in it. Parts of other processes, and of an earlier run with another
number of processes, are left as they are: their batches are done, and are in the sum.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vitvis.errors import VitvisError
from vitvis.runs import load_checkpoint, save_checkpoint

__all__ = ["FOLDER", "Parts"]

FOLDER = "state"


class Parts:
    """The parts of one run.

    Args:
        out: The run folder.
        rank: This process.
        world: How many there are.
        belongs: Names what the parts are of: models, data. Parts of anything else are not taken up.
        size: Photos a batch.
    """

    def __init__(self, out: Path, rank: int, world: int, belongs: str, size: int) -> None:
        self.folder, self.world, self.belongs, self.size = out / FOLDER, world, belongs, size
        self.path = self.folder / f"rank-{rank}-of-{world}.pt"

    def save(self, found: Mapping[str, Any], done: set[int]) -> None:
        """Write this process's part: tensors, numbers, texts, lists."""
        save_checkpoint(
            self.path, {"found": dict(found), "done": sorted(done), "belongs": self.belongs, "size": self.size}
        )

    def load(self) -> tuple[Mapping[str, Any], set[int]] | None:
        """Return what this process had found, and in which batches; None where there is nothing of this run."""
        part = self._read(self.path)
        return None if part is None else (part["found"], set(part["done"]))

    def done_elsewhere(self) -> set[int]:
        """Return the batches that are in parts of a run with another number of processes; those of this one differ."""
        return {number for part in self._all(f"-of-{self.world}.pt") for number in part["done"]}

    def found(self) -> Iterator[Mapping[str, Any]]:
        """Yield what all processes have found, one part at a time."""
        for part in self._all():
            yield part["found"]

    def _all(self, but: str = "\0") -> Iterator[Mapping[str, Any]]:
        for path in sorted(self.folder.glob("rank-*-of-*.pt")):
            part = self._read(path) if not path.name.endswith(but) else None
            if part is not None:
                yield part

    def _read(self, path: Path) -> Mapping[str, Any] | None:
        part = load_checkpoint(path)
        if part is None or part.get("belongs") != self.belongs:
            return None
        if part["size"] != self.size:
            raise VitvisError(
                f"{self.folder.parent}: was begun with batches of {part['size']} photos, and goes on with no others;"
                f" give the batch_size= it was begun with (now they have {self.size}), or choose another out=FOLDER"
            )
        return part
