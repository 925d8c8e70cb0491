"""The search as a LightningModule: the predict loop feeds it, it feeds the state."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from vitvis.backbones import Backbone, Tap
from vitvis.data.sources import Source
from vitvis.errors import VitvisError
from vitvis.search.checkpoint import load_state, save_state, state_path
from vitvis.search.layout import Layout
from vitvis.search.loading import Batch, make_loader
from vitvis.search.progress import Progress
from vitvis.search.readings import SiteReader, SiteReading
from vitvis.search.state import SearchState, observe

__all__ = ["ExemplarSearch"]


class ExemplarSearch(pl.LightningModule):
    """Goes over this rank's share of the images once, from where its last checkpoint stands.

    Args:
        backbone: The model.
        tap: An open tap at all sites of the layout.
        layout: The units.
        source: The images.
        new_state: Makes the state before the first image, on a device.
        out: The run folder.
        batch_size: Images a forward pass.
        workers: Processes that decode.
        checkpoint_every: Images of all ranks between checkpoints; 0: none before the end.
        progress: Style of the progress, see `Progress`.
    """

    state: SearchState

    def __init__(
        self,
        backbone: Backbone,
        tap: Tap,
        layout: Layout,
        source: Source,
        new_state: Callable[[torch.device], SearchState],
        out: Path,
        *,
        batch_size: int = 32,
        workers: int = 0,
        checkpoint_every: int = 5000,
        progress: str = "auto",
    ) -> None:
        super().__init__()
        self.backbone, self.tap, self.layout, self.source, self.out = backbone, tap, layout, source, out
        self.new_state, self.batch_size, self.workers = new_state, batch_size, workers
        self.checkpoint_every, self.style = checkpoint_every, progress
        self._saved = 0

    @property
    def path(self) -> Path:
        """File of this rank's state."""
        return state_path(self.out, self.trainer.global_rank, self.trainer.world_size)

    def setup(self, stage: str) -> None:
        """Find out where this rank's last checkpoint stands."""
        device = self.trainer.strategy.root_device
        device = torch.device("cpu") if device.type == "mps" else device  # which has no float64
        self.state = load_state(self.path, device) or self.new_state(device)
        self._saved = self.state.position
        world = self.trainer.world_size
        style = self.style if self.trainer.is_global_zero else "none"
        self.progress = Progress(self.source.length, self.state.position, style, world)

    def predict_dataloader(self) -> DataLoader[Any]:
        """Return the rest of this rank's share."""
        return make_loader(
            self.source,
            self.backbone.transform(),
            batch_size=self.batch_size,
            workers=self.workers,
            rank=self.trainer.global_rank,
            world=self.trainer.world_size,
            skip=self.state.position,
            pin_memory=self.trainer.strategy.root_device.type == "cuda",
        )

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Move the pixels."""
        return batch.to(device)

    def predict_step(self, batch: Batch, batch_idx: int) -> int:
        """Let one batch in; returns how many images of the share it used up."""
        state = self.state
        if len(batch.items):
            left_out = observe(state, self.layout, self._read(batch), batch.indices)
            for row in left_out.nonzero()[:, 0].tolist():
                item = batch.items[row]
                state.skipped.append((item.index, item.key, "an activation isn't a finite number"))
        state.skipped += [(sample.item.index, sample.item.key, sample.reason) for sample in batch.broken]
        state.position += batch.consumed
        self.progress.update(batch.consumed, len(state.skipped))
        if batch.failure:
            self.save()
            raise VitvisError(batch.failure)
        if self.checkpoint_every and (state.position - self._saved) * self.trainer.world_size >= self.checkpoint_every:
            self.save()
        return batch.consumed

    def _read(self, batch: Batch) -> dict[str, SiteReading]:
        reader = SiteReader(self.layout, self.state.strongest, batch.indices, batch.masks, maps=bool(self.state.maps))
        if batch.images.device.type == "cpu":
            return self.tap(batch.images, reader)  # while the activations are in the caches
        # elsewhere a look at each site in turn would let the device wait for the next layer's kernels
        return {name: reader(self.backbone.site(name), value) for name, value in self.tap(batch.images).items()}

    def save(self) -> None:
        """Write this rank's state."""
        save_state(self.state, self.path)
        self._saved = self.state.position
