"""One pass over data, shared between processes, that can be killed: what search, evaluate and judge have in common.

Each process takes whole batches and leaves what it found in a part of its own (`vitvis.data.parts`); no process talks
to another before the end, when rank 0 joins the parts. What is joined is the same, bit for bit, whoever did what.
"""

from __future__ import annotations

import logging
import time
import warnings
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from vitvis.data.loader import Batch, Share, View, make_loader
from vitvis.data.parts import Parts
from vitvis.data.source import Source
from vitvis.errors import VitvisError
from vitvis.launch.progress import Progress
from vitvis.launch.ranks import IndependentStrategy, check_nodes, trainer_arguments
from vitvis.launch.settings import TrainerSettings
from vitvis.launch.shards import unfinished
from vitvis.runs.lock import PATIENCE_S, FolderLock

__all__ = ["PhotoPass", "join_shards", "make_trainer", "run_pass"]

S = TypeVar("S")
T = TypeVar("T")


class PhotoPass(pl.LightningModule):
    """Goes over this process's batches once, from where its part stands.

    Subclasses say what is found (`look`), and how it is put on the disk and taken up again (`pack`, `unpack`).

    Args:
        source: The photos.
        view: What is made of each.
        out: The run folder.
        belongs: Names what is found: models, data, settings; parts of anything else are not taken up.
        batch_size: Photos a batch.
        workers: Processes that decode.
        indices: These photos in place of all.
        objects: Whether boxes or masks are read.
        keep_images: Images of all processes between two writes of the part; 0: none before the end.
        keep_seconds: Seconds between two writes, where `keep_images` is None.
        progress: Style of the progress, see `Progress`.
        shard: Rank and number of processes, where this one is a shard of its own and no rank of a group.

    Attributes:
        done: Numbers of the batches that are in what was found.
        skipped: `(dataset index, key, reason)` of photos left out, of all processes once joined.
        counts: What was met in annotations, likewise.
    """

    def __init__(
        self,
        source: Source,
        view: View,
        out: Path,
        belongs: str,
        *,
        batch_size: int,
        workers: int = 0,
        indices: Sequence[int] | np.ndarray | None = None,
        objects: bool = True,
        keep_images: int | None = None,
        keep_seconds: float = 60.0,
        progress: str = "auto",
        shard: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.shard, self.only_join = shard, False
        self.source, self.view, self.out, self.belongs = source, view, out, belongs
        self.batch_size, self.workers, self.indices, self.objects = batch_size, workers, indices, objects
        self.keep_images, self.keep_seconds, self.style = keep_images, keep_seconds, progress
        self.done: set[int] = set()
        self.skipped: list[tuple[int, str, str]] = []
        self.counts: Counter[str] = Counter()

    @abstractmethod
    def start(self, device: torch.device) -> None:
        """Begin with nothing found, on a device."""

    @abstractmethod
    def look(self, batch: Batch) -> None:
        """Let one batch in, which holds at least one photo; it is on the device."""

    @abstractmethod
    def pack(self) -> dict[str, Any]:
        """Return what was found as tensors, numbers, texts, lists."""

    @abstractmethod
    def unpack(self, found: Mapping[str, Any], device: torch.device) -> None:
        """Take up what `pack` returned, in place of what there is."""

    @property
    def place(self) -> tuple[int, int]:
        """Rank of this process, and how many share the work."""
        return self.shard or (self.trainer.global_rank, self.trainer.world_size)

    @property
    def batches(self) -> int | None:
        """Batches there are, for all processes; None where the data doesn't tell."""
        return None if self.total is None else -(-self.total // self.batch_size)

    @property
    def total(self) -> int | None:
        """Photos there are, for all processes."""
        return self.source.length if self.indices is None else len(self.indices)

    def setup(self, stage: str) -> None:
        """Find out where this process's part stands, and what others have done."""
        device = self.trainer.strategy.root_device
        device = torch.device("cpu") if device.type == "mps" else device  # which has no float64
        rank, world = self.place
        self.parts = Parts(self.out, rank, world, self.belongs, self.batch_size)
        self.start(device)
        kept = self.parts.load()
        if kept is not None:
            self._take(kept[0], device)
            self.done = kept[1]
        self._elsewhere = self.parts.done_elsewhere() - self.done
        if self.only_join and not self.is_complete():
            batches = self.batches
            raise unfinished(self.out, None if batches is None else batches - len(self.parts.done()), batches)
        self._since_saved, self._saved_at = 0, time.monotonic()
        style = self.style if self.trainer.is_global_zero else "none"
        done = self._images(self.done | self._elsewhere)
        self.progress = Progress(self.total, "images", style, done=done, scale=world)

    def is_complete(self) -> bool:
        """Say whether the parts on the disk, of all processes, hold all batches."""
        return self.parts.is_complete(self.batches)

    def predict_dataloader(self) -> DataLoader[Batch]:
        """Return the batches that are left for this process."""
        return make_loader(
            self.source,
            self.view,
            batch_size=self.batch_size,
            workers=self.workers,
            share=Share(*self.place, self.done | self._elsewhere),
            indices=self.indices,
            objects=self.objects,
            pin_memory=self.trainer.strategy.root_device.type == "cuda",
        )

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Move the tensors."""
        return batch.to(device)

    def predict_step(self, batch: Batch, batch_idx: int) -> int:
        """Let one batch in; returns how many photos it stands for."""
        if batch.failure:
            self.save()
            raise VitvisError(batch.failure)
        if len(batch):
            self.look(batch)
        self.skipped += batch.skipped
        self.counts.update(batch.counts)
        self.done.add(batch.number)
        self._since_saved += batch.size
        self.progress.advance(batch.size, note=f"{len(self.skipped):,} skipped" if self.skipped else "")
        if self._is_time():
            self.save()
        return batch.size

    def on_exception(self, exception: BaseException) -> None:
        """Leave the terminal as it was."""
        self.progress.close()

    def save(self, *, ended: bool = False) -> None:
        """Write this process's part."""
        skipped = [list(item) for item in self.skipped]
        self.parts.save({"own": self.pack(), "skipped": skipped, "counts": dict(self.counts)}, self.done, ended=ended)
        self._since_saved, self._saved_at = 0, time.monotonic()

    def join(self, device: torch.device | str = "cpu") -> Iterator[None]:
        """Take up the parts of all processes, one after the other; stops at each so that a subclass can add it up.

        Afterwards `skipped` and `counts` are those of all processes.
        """
        skipped: set[tuple[int, str, str]] = set()
        counts: Counter[str] = Counter()
        for found in self.parts.found():
            self._take(found, torch.device(device))
            skipped.update(self.skipped)
            counts.update(self.counts)
            yield
        self.skipped, self.counts = sorted(skipped), counts

    def _take(self, found: Mapping[str, Any], device: torch.device) -> None:
        self.unpack(found["own"], device)
        self.skipped = [(int(index), str(key), str(reason)) for index, key, reason in found["skipped"]]
        self.counts = Counter(found["counts"])

    def _is_time(self) -> bool:
        if self.keep_images is not None:
            return bool(self.keep_images) and self._since_saved * self.place[1] >= self.keep_images
        return time.monotonic() - self._saved_at >= self.keep_seconds

    def _images(self, batches: set[int]) -> int:
        """Return how many photos are in batches, of which the last may be shorter."""
        count = len(batches) * self.batch_size
        if self.total is not None and self.total // self.batch_size in batches:
            count -= self.batch_size - self.total % self.batch_size
        return count


def join_shards(out: Path, join: Callable[[S], T], settings: S) -> T | None:
    """Let the last shard join what all have found; None where another process is at it already.

    Shards that end in the same moment hold their locks for a little longer: they are waited for.
    """
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return join(settings)
        except VitvisError:
            if not FolderLock.live_shards(out):
                if FolderLock(out).is_held():
                    return None
                raise
            if time.monotonic() > end:
                return None
        time.sleep(0.2)


def make_trainer(where: Any, *, alone: bool = False, **more: Any) -> pl.Trainer:
    """Return a Trainer for one pass over the data: no checkpoints, no logs, no sampler that pads, no process group.

    Args:
        where: Settings with `accelerator`, `devices`, `num_nodes`, and `precision` where it may be chosen.
        alone: One process, whatever torchrun or SLURM have started beside it: a shard.
        more: Arguments of the Trainer, such as `callbacks` and `logger`.

    Raises:
        VitvisError: the machine has no such device.
    """
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    names = ("accelerator", "devices", "num_nodes")
    precision = getattr(where, "precision", "32-true")
    settings = TrainerSettings(**{name: getattr(where, name) for name in names}, precision=precision)
    arguments = trainer_arguments(settings, alone=alone)
    check_nodes(arguments)
    try:
        return pl.Trainer(
            **{"logger": False} | arguments | more,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            inference_mode=True,
        )
    except Exception as error:  # Lightning raises its own MisconfigurationException, ValueError, RuntimeError
        asked = f"trainer.accelerator={settings.accelerator} trainer.devices={settings.devices}"
        raise VitvisError(f"{asked}: {error}") from None


def run_pass(trainer: pl.Trainer, module: PhotoPass, *, finish: bool = False) -> float:
    """Go over this process's batches, leave its part on the disk, wait for the others; return the seconds it took.

    Args:
        trainer: Runs the pass.
        module: The pass.
        finish: Object to batches that are left, in place of doing them.

    Raises:
        VitvisError: `finish`, and a part is missing.
    """
    module.only_join = finish
    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")  # Lightning's, for torch to come
        warnings.filterwarnings("ignore", message=".*DataLoader. across ranks is zero.*")  # all is done already
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        trainer.predict(module, return_predictions=False)
    seconds = time.perf_counter() - begun
    module.progress.close()
    module.save(ended=True)
    if isinstance(trainer.strategy, IndependentStrategy) and module.shard is None:
        trainer.strategy.meet()
    return seconds
