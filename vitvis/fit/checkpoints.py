"""What a killed run goes on from inside a chunk: images, optimiser, and what callbacks have gathered."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from pytorch_lightning import Callback, LightningModule, Trainer

from vitvis.fit.chunks import Chunk
from vitvis.runs import RunFolder

if TYPE_CHECKING:
    from vitvis.fit.datamodule import Step

__all__ = ["Checkpoints", "ChunkPart", "KeepCheckpoints"]


@runtime_checkable
class ChunkPart(Protocol):
    """A part of a chunk that remembers something from step to step; it is kept in the chunk's checkpoints.

    Augmentations or an objective with these two methods are such a part. States load with `weights_only=True`.
    """

    def state_dict(self) -> dict[str, Any]:
        """Return what it remembers."""

    def load_state_dict(self, state: dict[str, Any], /) -> Any:
        """Remember this."""


class Checkpoints:
    """The checkpoints of a run folder, `resume/CHUNK.ckpt`; one that is not whole does not count.

    Args:
        folder: The run folder.
    """

    FOLDER = "resume"

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    def _place(self, chunk: Chunk) -> str:
        return f"{self.FOLDER}/{chunk.name}.ckpt"

    def read(self, chunk: Chunk) -> dict[str, Any]:
        """Return what a chunk goes on from, with its `step`; nothing where there is no whole checkpoint."""
        return self.folder.load_checkpoint(self._place(chunk)) or {}

    def write(self, chunk: Chunk, state: dict[str, Any]) -> None:
        """Keep what a chunk goes on from."""
        self.folder.save_checkpoint(self._place(chunk), state)

    def remove(self, chunk: Chunk) -> None:
        """Forget a chunk that is done."""
        (self.folder.path / self._place(chunk)).unlink(missing_ok=True)  # no digest of it is in the ledger

    def clear(self) -> None:
        """Forget all chunks."""
        shutil.rmtree(self.folder.path / self.FOLDER, ignore_errors=True)


class KeepCheckpoints(Callback):
    """Write a checkpoint now and then, and take one up; the last of a Trainer's callbacks, which it asks for theirs.

    Whatever callback has a `state_dict` is kept with the chunk, so that curves and strips go on as well.

    Args:
        checkpoints: of the run folder.
        every: steps between two of them; 0 for none.
    """

    def __init__(self, checkpoints: Checkpoints, every: int) -> None:
        self.checkpoints = checkpoints
        self.every = every

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Step, batch_idx: int) -> None:
        """Give callbacks their state back, once they have begun the chunk; the module takes its own."""
        kept = (batch.state or {}).get("callbacks", {})
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if callback.state_key in kept:
                callback.load_state_dict(kept[callback.state_key])

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Step, batch_idx: int
    ) -> None:
        """Keep a checkpoint when it is time for one."""
        if not self.every or batch.last or (batch.step + 1) % self.every:
            return
        states = {callback.state_key: callback.state_dict() for callback in trainer.callbacks}  # type: ignore[attr-defined]
        self.checkpoints.write(
            batch.chunk,
            {
                "step": batch.step + 1,
                "module": pl_module.chunk_state(),  # type: ignore[operator]
                "callbacks": {key: state for key, state in states.items() if state},
            },
        )
