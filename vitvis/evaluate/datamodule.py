"""The Lightning DataModule of every layout."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence

import numpy as np
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader

from vitvis.data.labelled import Source, UnusableImage
from vitvis.evaluate.dataset import Batch, Transform, VariantDataset, VariantPlan, collate

__all__ = ["EvaluationDataModule", "mean_colour"]


class EvaluationDataModule(LightningDataModule):
    """Images, their variants and their transforms, dealt out over ranks by stride: no image twice, none padded.

    Args:
        source: Images with labels and masks, in any layout.
        plan: Variants and fills.
        transforms: By name, the distinct transforms of all models.
        batch_size: Images a batch; its rows are as many times the variants.
        workers: Processes that decode; None: one less than this process may use, at most 16.
        limit: Measure only so many images, drawn by the plan's seed; None: all.
    """

    def __init__(
        self,
        source: Source,
        plan: VariantPlan,
        transforms: dict[str, Transform],
        *,
        batch_size: int = 64,
        workers: int | None = None,
        limit: int | None = None,
    ) -> None:
        super().__init__()
        self.source, self.plan, self.transforms = source, plan, transforms
        self.batch_size, self.workers = batch_size, available_workers() if workers is None else workers
        self.indices = choose(len(source), limit, plan.seed)
        self.start = 0  # images of this rank that an earlier run has measured

    def test_dataloader(self) -> DataLoader[Batch]:
        """Return this rank's batches."""
        trainer = self.trainer
        rank, world = (trainer.global_rank, trainer.world_size) if trainer is not None else (0, 1)
        mine = self.indices[rank::world][self.start :]
        forks = self.workers > 0 and "fork" in multiprocessing.get_all_start_methods()
        return DataLoader(
            VariantDataset(self.source, mine, self.plan, self.transforms),  # type: ignore[arg-type]
            batch_size=self.batch_size,
            shuffle=False,
            num_workers=self.workers if forks else 0,
            collate_fn=collate,  # type: ignore[arg-type]
            multiprocessing_context="fork" if forks else None,  # transforms are closures, which do not pickle
            persistent_workers=False,
            pin_memory=trainer is not None and trainer.strategy.root_device.type == "cuda",
        )


def choose(count: int, limit: int | None, seed: int) -> Sequence[int]:
    """Return the entries to measure: all, or `limit` of them drawn by seed, in order."""
    if limit is None or limit >= count:
        return range(count)
    return sorted(np.random.default_rng(seed).permutation(count)[:limit].tolist())


def available_workers() -> int:
    """Return the processors this process may use, less one for the process itself, at most 16."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(0, min(usable - 1, 16))


def mean_colour(source: Source, images: int = 256) -> tuple[float, float, float]:
    """Return the mean colour of the data in [0, 1], over up to so many of its images, evenly spaced."""
    steps = np.unique(np.linspace(0, len(source) - 1, min(images, len(source))).astype(int))
    colours = []
    for index in steps:
        try:
            colours.append(np.asarray(source.load(int(index)).image).reshape(-1, 3).mean(axis=0) / 255)
        except UnusableImage:
            continue
    red, green, blue = np.mean(colours, axis=0) if colours else (0.5, 0.5, 0.5)
    return float(red), float(green), float(blue)
