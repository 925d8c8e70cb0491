"""How far a fit is: units/hour, time left, current site."""

from __future__ import annotations

import time
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

__all__ = ["Progress"]


class Progress(Callback):
    """Say how far the run is: a bar on a terminal, plain lines elsewhere; units/hour, time left, current site.

    Args:
        style: `auto`, `bar`, `lines` or `none`.
    """

    def __init__(self, style: str) -> None:
        from rich.console import Console

        self.console = Console(soft_wrap=True)
        self.style = ("bar" if self.console.is_terminal else "lines") if style == "auto" else style
        self.images = 0
        self._done = 0
        self._began = 0.0
        self._bar: Any = None
        self._task: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock and the bar."""
        self._began = time.perf_counter()
        self.images = getattr(trainer, "datamodule").images  # noqa: B009  # Lightning does not declare it
        if self.style != "bar":
            return
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:.0f}%"),
            TextColumn("{task.fields[rate]}"),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
        )
        self._task = self._bar.add_task("", total=self.images, rate="")
        self._bar.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar by one step of all images of the chunk; count those of a chunk that ends."""
        site, images = batch.chunk.site.name, len(batch.chunk)
        if self._bar is not None:
            steps = getattr(trainer, "datamodule").steps  # noqa: B009
            done = self._done + images * (batch.step + 1) / steps
            title = f"{site} ({self._done + images}/{self.images})"
            self._bar.update(self._task, completed=done, description=title, rate=f"{self._rate(done):.0f} units/h")
        if not batch.last:
            return
        self._done += images
        if self.style == "lines":
            rate = self._rate(self._done)
            left = (self.images - self._done) / rate * 3600
            print(f"[{self._done}/{self.images}] {site}: {rate:.0f} units/hour, {_clock(left)} left", flush=True)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave the terminal as it was."""
        self._stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave the terminal as it was."""
        self._stop()

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _rate(self, done: float) -> float:
        return done / max(time.perf_counter() - self._began, 1e-9) * 3600


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
