"""Batches of a fit: nothing but the index of the step. The data is the image itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader, IterableDataset

from .chunks import Chunk

__all__ = ["UnitDataModule"]


class _Steps(IterableDataset):
    """Step indices of one epoch, from where the chunk stands."""

    def __init__(self, owner: UnitDataModule) -> None:
        self.owner = owner

    def __len__(self) -> int:
        return self.owner.steps

    def __iter__(self) -> Iterator[int]:
        start, self.owner.start_step = self.owner.start_step, 0
        yield from range(start, self.owner.steps)


class UnitDataModule(LightningDataModule):
    """One chunk an epoch, one step a batch.

    Train with `Trainer(max_epochs=len(chunks))` and `reload_dataloaders_every_n_epochs=0`.

    Args:
        chunks: what this rank makes, in order; epoch e works on `chunks[e]`.
        steps: steps a chunk.

    Attributes:
        start_step: where the next epoch starts, to go on inside a chunk; back to 0 once used.
    """

    def __init__(self, chunks: Sequence[Chunk], steps: int) -> None:
        super().__init__()
        self.chunks = list(chunks)
        self.steps = int(steps)
        self.start_step = 0
        self._loader: DataLoader | None = None

    def train_dataloader(self) -> DataLoader:
        """Return the loader of step indices; the same one every time."""
        if self._loader is None:
            self._loader = DataLoader(_Steps(self), batch_size=None, num_workers=0)
        return self._loader
