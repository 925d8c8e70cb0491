"""How far a fit is: units/hour, time left, current site."""

from __future__ import annotations

import time
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from vitvis.fit.callbacks import chunk_of, data_of

__all__ = ["Progress"]


class Progress(Callback):
    """Say how far the run is: a bar on a terminal, plain lines elsewhere; units/hour, time left, current site.

    Args:
        style: `auto`, `bar`, `lines` or `none`.
        images: Images this rank is to make.
    """

    def __init__(self, style: str, images: int) -> None:
        from rich.console import Console

        self.console = Console(soft_wrap=True)
        self.style = ("bar" if self.console.is_terminal else "lines") if style == "auto" else style
        self.images = images
        self._done = 0
        self._began = 0.0
        self._bar: Any = None
        self._task: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock and the bar."""
        self._began = time.perf_counter()
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
        """Move the bar by one step of all images of the chunk."""
        if self._bar is not None:
            steps = data_of(trainer).steps
            chunk = chunk_of(pl_module)
            done = self._done + len(chunk.units) * (int(batch) + 1) / steps
            title = f"{chunk.site.name} ({self._done + len(chunk.units)}/{self.images})"
            self._bar.update(self._task, completed=done, description=title, rate=f"{self._rate(done):.0f} units/h")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count the images of the chunk; say so in a line where there is no bar."""
        chunk = chunk_of(pl_module)
        self._done += len(chunk.units)
        if self.style == "lines":
            rate = self._rate(self._done)
            left = (self.images - self._done) / rate * 3600
            print(
                f"[{self._done}/{self.images}] {chunk.site.name}: {rate:.0f} units/hour, {_clock(left)} left",
                flush=True,
            )

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
