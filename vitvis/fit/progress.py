"""Say how far a fit is, by images and steps."""

from __future__ import annotations

from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from vitvis.launch.progress import Progress

__all__ = ["FitProgress"]


class FitProgress(Callback):
    """Moves the display of a fit; a step of a chunk counts as a part of each of its images.

    Args:
        style: `auto`, `bar`, `lines` or `none`.
        scale: Processes that share the work out of which this one does its part.
    """

    def __init__(self, style: str, scale: int = 1) -> None:
        self.style, self.scale = style, scale
        self._done = 0
        self._display: Progress | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        data = getattr(trainer, "datamodule")  # noqa: B009  # Lightning does not declare it
        total, self._steps = data.images * self.scale, data.steps
        self._display = Progress(total, "images", self.style, scale=self.scale)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count one step of all images of the chunk."""
        images, step = len(batch.chunk), self._steps if batch.last else batch.step + 1
        if self._display is not None:
            self._display.update(self._done + images * step / self._steps, batch.chunk.site.name)
        if batch.last:
            self._done += images

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave the terminal as it was."""
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave the terminal as it was."""
        self._close()

    def _close(self) -> None:
        if self._display is not None:
            self._display.close()
            self._display = None
