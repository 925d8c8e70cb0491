"""Tiny-ImageNet's photos, decoded once, and batches that depend on nothing but (seed, step)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytorch_lightning as L
import torch
from torch.utils.data import DataLoader, IterableDataset

from vitvis.data.kinds import open_source
from vitvis.data.photo import UnusableImage
from vitvis.errors import VitvisError
from vitvis.runs.files import atomic_file

__all__ = ["PhotoDataModule", "StepBatches", "decode_parquet", "read_photos"]


def read_photos(data: str, split: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Decode photos of one size as every command does (`vitvis.data`).

    Args:
        data: `KIND:PATH`.
        split: Part of the data.

    Returns:
        Photos `[N, 3, H, W]` uint8 and labels `[N]` int64, in the order of the data.

    Raises:
        VitvisError: no such data, or a photo that can't be used.
    """
    source = open_source(data, split=split, regions="none")
    photos: list[np.ndarray] = []
    for index in range(len(source.labels)):
        try:
            photos.append(np.asarray(source.load(index)).transpose(2, 0, 1))
        except UnusableImage as error:
            raise VitvisError(f"data={data}: {source.key(index)}: {error}") from None
    return np.stack(photos), source.labels


def decode_parquet(folder: Path, split: str, cache: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return `read_photos` of one split, memory-mapped from `cache` and decoded into it the first time.

    Raises:
        VitvisError: `folder` has no file of that split.
    """
    kept = cache / f"{split}-photos.npy", cache / f"{split}-labels.npy"
    if not all(path.exists() for path in kept):
        arrays = read_photos(f"parquet:{folder}", split)
        cache.mkdir(parents=True, exist_ok=True)
        for path, array in zip(kept, arrays, strict=True):
            with atomic_file(path) as stream:
                np.save(stream, array)
    return np.load(kept[0], mmap_mode="r"), np.load(kept[1])


class StepBatches(IterableDataset):
    """Shuffled batches without end, each a function of (seed, step) alone: a run resumes at any step, exactly.

    Yields photos `[B, 3, H, W]` uint8 and labels `[B]` int64. With several ranks, each takes its stride of a batch.
    """

    def __init__(
        self,
        photos: np.ndarray,
        labels: np.ndarray,
        batch: int,
        seed: int,
        start: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.photos, self.labels, self.batch, self.seed, self.start = photos, labels, batch, seed, start
        self.rank, self.world = rank, world

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in one pass; photos left over are others in each pass."""
        return max(1, len(self.labels) // self.batch)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        step, epoch, order = self.start, -1, np.empty(0, np.int64)
        while True:
            if step // self.steps_per_epoch != epoch:
                epoch = step // self.steps_per_epoch
                order = np.random.default_rng((self.seed, epoch)).permutation(len(self.labels))
            position = step % self.steps_per_epoch
            chosen = np.sort(order[position * self.batch : (position + 1) * self.batch])[self.rank :: self.world]
            yield torch.from_numpy(self.photos[chosen]), torch.from_numpy(self.labels[chosen])
            step += 1


class PhotoDataModule(L.LightningDataModule):
    """Training batches keyed by step, and held-out training photos; the validation photos are never read."""

    def __init__(self, path: Path, cache: Path, batch: int, seed: int, held_out: int) -> None:
        super().__init__()
        self.path, self.cache, self.batch, self.seed, self.held_out = path, cache, batch, seed, held_out

    def prepare_data(self) -> None:
        """Decode the photos once, on one process a machine."""
        decode_parquet(self.path, "train", self.cache)

    def setup(self, stage: str) -> None:
        """Open the decoded photos and set the held-out ones aside, the same for every seed and model."""
        photos, labels = decode_parquet(self.path, "train", self.cache)
        order = np.random.default_rng(0).permutation(len(labels))
        self.kept, self.aside = np.sort(order[self.held_out :]), np.sort(order[: self.held_out])
        self.photos, self.labels = photos, labels

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in one pass over the training photos."""
        return max(1, len(self.kept) // self.batch)

    def train_dataloader(self) -> DataLoader:
        """Batches from the trainer's current step on."""
        trainer = self.trainer
        batches = StepBatches(
            _Subset(self.photos, self.kept),  # type: ignore[arg-type]
            self.labels[self.kept],
            self.batch,
            self.seed,
            trainer.global_step if trainer else 0,
            trainer.global_rank if trainer else 0,
            trainer.world_size if trainer else 1,
        )
        return DataLoader(batches, batch_size=None)

    def val_dataloader(self) -> DataLoader:
        """Held-out training photos in their order."""
        pairs = torch.utils.data.TensorDataset(
            torch.from_numpy(np.asarray(self.photos[self.aside])), torch.from_numpy(self.labels[self.aside])
        )
        return DataLoader(pairs, batch_size=250)


class _Subset:
    """Rows of a memory-mapped array, read when they are asked for."""

    def __init__(self, array: np.ndarray, rows: np.ndarray) -> None:
        self.array, self.rows = array, rows

    def __getitem__(self, chosen: np.ndarray) -> np.ndarray:
        return self.array[self.rows[chosen]]
