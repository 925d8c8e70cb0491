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

    def save(self, found: Mapping[str, Any], done: set[int], *, ended: bool = False) -> None:
        """Write this process's part: tensors, numbers, texts, lists; `ended` where it has nothing left to do."""
        about = {"belongs": self.belongs, "size": self.size, "world": self.world, "ended": ended}
        save_checkpoint(self.path, {"found": dict(found), "done": sorted(done), **about})

    def load(self) -> tuple[Mapping[str, Any], set[int]] | None:
        """Return what this process had found, and in which batches; None where there is nothing of this run."""
        part = self._read(self.path)
        return None if part is None else (part["found"], set(part["done"]))

    def done_elsewhere(self) -> set[int]:
        """Return the batches that are in parts of a run with another number of processes; those of this one differ."""
        return {number for part in self._chosen(f"-of-{self.world}.pt") for number in part["done"]}

    def done(self) -> set[int]:
        """Return the batches that are in any part that counts."""
        return {number for part in self._chosen() for number in part["done"]}

    def is_complete(self, batches: int | None) -> bool:
        """Say whether all is done: every batch, or, of data whose length isn't known, every part of one number."""
        if batches is not None:
            return self.done() >= set(range(batches))
        names = [path.name for path in self.folder.glob(f"rank-*-of-{self.world}.pt")]
        return len(names) == self.world and all(part["ended"] for part in self._chosen() if part["world"] == self.world)

    def found(self) -> Iterator[Mapping[str, Any]]:
        """Yield what all processes have found, one part at a time."""
        for part in self._chosen():
            yield part["found"]

    def _chosen(self, but: str = "\0") -> Iterator[Mapping[str, Any]]:
        """Yield the parts that count, the largest first: no two of them hold a batch in common.

        Parts of two numbers of shards that worked at the same time may; what is then left out is done again.
        """
        paths = [path for path in self.folder.glob("rank-*-of-*.pt") if not path.name.endswith(but)]
        sizes = [(-len(part["done"]), path) for path in paths if (part := self._read(path)) is not None]
        taken: set[int] = set()
        for _, path in sorted(sizes):
            part = self._read(path)
            if part is not None and taken.isdisjoint(part["done"]):
                taken.update(part["done"])
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
