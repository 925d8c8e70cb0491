"""What a fit leaves while it runs: files, checkpoints, curves, pictures over time."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from PIL import Image
from pytorch_lightning import Callback, LightningModule, Trainer

from vitvis.fit.writing import Background
from vitvis.launch.loggers import log_images
from vitvis.runs import RunFolder, digest, read_csv, save_png, to_csv
from vitvis.runs.summary import summarize

if TYPE_CHECKING:
    from vitvis.backbones import Unit
    from vitvis.fit.chunks import Chunk
    from vitvis.fit.datamodule import UnitDataModule
    from vitvis.fit.module import ActivationMaximization

__all__ = ["ImagesOverTime", "Results", "chunk_of", "data_of", "image_path", "merge_metrics", "to_bytes", "to_pictures"]


def to_bytes(images: torch.Tensor) -> np.ndarray:
    """Turn images `[U, 3, H, W]` in [0, 1] into 8-bit RGB `[U, H, W, 3]`; NaN becomes black."""
    rounded = (images.detach().float().nan_to_num(0).clamp(0, 1) * 255).round().byte()
    return rounded.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def to_pictures(images: torch.Tensor) -> list[Image.Image]:
    """Turn images `[U, 3, H, W]` in [0, 1] into 8-bit RGB pictures; NaN becomes black."""
    return [Image.fromarray(array) for array in to_bytes(images)]


def prompt_slug(prompt: str) -> str:
    """Return a prompt as part of a file's name."""
    return re.sub(r"[^A-Za-z0-9]+", "_", prompt.removeprefix("text:"))[:40].strip("_")


def image_path(unit: Any, seed: int, folder: str = "images") -> str:
    """Return where the image of a unit lies within a run folder: `images/blocks.4.mlp/17_s0.png`."""
    name = f"{'minus' if unit.sign < 0 else ''}{unit.index}"
    if unit.direction:
        stem = Path(unit.direction).stem if unit.vector is None else prompt_slug(unit.direction)
        name = f"{stem}-{digest(unit.direction, 6)}-{name}"
    return f"{folder}/{unit.site.replace('/', '_')}/{name}_s{seed}.png"


class Results(Callback):
    """Write what each chunk made as soon as it is done, and now and then what a killed run goes on from.

    Args:
        folder: The run folder.
        common: Record fields that are the same for all units: backbone, weights_id, recipe.
        text: Text chunks of a unit's PNG, from its address and seed.
        checkpoint_every: Steps between checkpoints within a chunk; 0 for none.
        log_every: Steps between rows of the curves in `metrics.csv`; 0 for no such file.
    """

    CHECKPOINTS = "resume"
    METRICS = "metrics"

    def __init__(
        self,
        folder: RunFolder,
        common: Mapping[str, Any],
        text: Callable[[str, int], dict[str, str]],
        *,
        checkpoint_every: int,
        log_every: int,
    ) -> None:
        self.folder = folder
        self.common = dict(common)
        self.text = text
        self.checkpoint_every = checkpoint_every
        self.log_every = log_every
        self._records: list[dict[str, Any]] = []  # only what the running summary needs, of this rank
        self._rows: list[dict[str, Any]] = []
        self._saved: dict[str, Any] | None = None
        self._seconds = 0.0
        self._began = 0.0
        self._background = Background()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the running summary with what an earlier run of this folder made."""
        self._records = self.folder.records() if trainer.is_global_zero else []

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look for a checkpoint of the chunk that begins."""
        chunk = data_of(trainer).chunks[trainer.current_epoch]
        self._rows, self._seconds, self._began = [], 0.0, time.perf_counter()
        self._saved = self._read_checkpoint(chunk)
        data_of(trainer).start_step = self._saved["step"] if self._saved else 0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Put the checkpoint's image and optimiser in place once the module has made its own."""
        if self._saved is not None:
            _fit(pl_module).load_chunk_state(self._saved["state"])
            self._rows, self._seconds = self._saved["rows"], self._saved["seconds"]
            self._saved = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep a row of the curves, and a checkpoint, when it is time for one."""
        step, steps = int(batch) + 1, data_of(trainer).steps
        if self.log_every and (step % self.log_every == 0 or step in (1, steps)):
            values = {name: float(value) for name, value in trainer.callback_metrics.items() if "summary/" not in name}
            self._rows.append(
                {"chunk": chunk_of(pl_module).name, "site": chunk_of(pl_module).site.name, "step": step} | values
            )
        if self.checkpoint_every and step % self.checkpoint_every == 0 and step < steps:
            self._write_checkpoint(pl_module, step)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure the chunk and have it written while the next one runs."""
        chunk = chunk_of(pl_module)
        measures = _fit(pl_module).results()
        pixels = to_bytes(_fit(pl_module).images())
        seconds = self._seconds + time.perf_counter() - self._began
        shared = {
            "width": int(pixels.shape[2]),
            "height": int(pixels.shape[1]),
            "steps": data_of(trainer).steps,
            "seconds": seconds / len(chunk.units),
            "device": _device_name(pl_module.device),
        }
        records = [
            self.common | _target(chunk, unit, seed) | measure | {"image": image_path(unit, seed)} | shared
            for unit, seed, measure in zip(chunk.units, chunk.seeds, measures, strict=True)
        ]
        self._records += records
        summary = {f"summary/{name}": value for name, value in summarize(self._records).items()}
        pl_module.log_dict(summary, on_step=False, on_epoch=True, batch_size=1)
        if self._rows:
            self._rows[-1] |= summary
        curves = self._rows if self.log_every else None
        self._background.submit(lambda: self._write(chunk, records, pixels, curves))

    def _write(
        self, chunk: Chunk, records: list[dict[str, Any]], pixels: np.ndarray, curves: list[dict[str, Any]] | None
    ) -> None:
        """Write the chunk: curves, then images, then records, which say that it is done."""
        if curves is not None:
            self.folder.write_text(f"{self.METRICS}/{chunk.name}.csv", to_csv(curves))
        files = {
            record["image"]: save_png(Image.fromarray(array), self.text(record["address"], record["seed"]))
            for record, array in zip(records, pixels, strict=True)
        }
        self.folder.write_shard(chunk.name, records, files)
        self.folder.remove(self._checkpoint(chunk))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Wait until all is written; an error of the writing ends the run here."""
        self._background.join()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Let finished chunks reach the disk: Lightning comes here on Ctrl-C, on SIGTERM and on errors."""
        with suppress(Exception):  # the exception at hand is the one to tell
            self._background.join()

    def _checkpoint(self, chunk: Chunk) -> str:
        return f"{self.CHECKPOINTS}/{chunk.name}.ckpt"

    def _write_checkpoint(self, module: LightningModule, step: int) -> None:
        seconds = self._seconds + time.perf_counter() - self._began
        content = {"step": step, "state": _fit(module).chunk_state(), "rows": self._rows, "seconds": seconds}
        self.folder.save_checkpoint(self._checkpoint(chunk_of(module)), content)

    def _read_checkpoint(self, chunk: Chunk) -> dict[str, Any] | None:
        return self.folder.load_checkpoint(self._checkpoint(chunk))


class ImagesOverTime(Callback):
    """Show some images of each chunk to the loggers while they form, and keep strips of them when asked.

    Args:
        folder: The run folder, for strips.
        units: How many images of a chunk loggers get.
        strips: Moments of each image that go into its strip `progress/SITE/UNIT_sSEED.png`; 0 for no strips.
    """

    MOMENTS = 4

    def __init__(self, folder: RunFolder, *, units: int, strips: int = 0) -> None:
        self.folder = folder
        self.units = units
        self.strips = strips
        self._frames: list[list[Image.Image]] = []

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the chunk before."""
        self._frames = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Take a picture at evenly spaced steps."""
        step, steps = int(batch) + 1, data_of(trainer).steps
        show = trainer.loggers and self.units and step in _moments(steps, self.MOMENTS)
        keep = self.strips and step in _moments(steps, self.strips)
        if not (show or keep):
            return
        pictures = to_pictures(_fit(pl_module).images())
        if show:
            units = zip(chunk_of(pl_module).units, chunk_of(pl_module).seeds, pictures, strict=True)
            shown = {f"images/{unit.address}/s{seed}": picture for unit, seed, picture in list(units)[: self.units]}
            log_images(trainer.loggers, shown, trainer.global_step)
        if keep:
            self._frames.append(pictures)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the strips of the chunk."""
        if not self._frames:
            return
        chunk = chunk_of(pl_module)
        for index, (unit, seed) in enumerate(zip(chunk.units, chunk.seeds, strict=True)):
            frames = [pictures[index] for pictures in self._frames]
            strip = Image.new("RGB", (sum(frame.width for frame in frames), frames[0].height))
            for position, frame in enumerate(frames):
                strip.paste(frame, (position * frame.width, 0))
            self.folder.write_bytes(image_path(unit, seed, "progress"), save_png(strip, {"unit": unit.address}))


def merge_metrics(folder: RunFolder, order: Sequence[str] = ()) -> None:
    """Join the curves of all chunks into `metrics.csv` and remove the parts.

    Args:
        folder: The run folder.
        order: Names of chunks in the order of their rows; those that are not named come first.
    """
    parts = sorted((folder.path / Results.METRICS).glob("*.csv"))
    if not parts:
        return
    target = folder.path / "metrics.csv"
    rows = {(row["chunk"], int(row["step"])): row for path in [target, *parts] for row in read_csv(path)}
    place = {name: position for position, name in enumerate(order)}
    keys = sorted(rows, key=lambda key: (place.get(key[0], -1), key))
    folder.write_text("metrics.csv", to_csv([rows[key] for key in keys]))
    folder.remove(Results.METRICS)


def _fit(module: LightningModule) -> ActivationMaximization:
    return cast("ActivationMaximization", module)


def chunk_of(module: LightningModule) -> Chunk:
    """Return the chunk that a fit's module is at."""
    chunk = _fit(module).chunk
    assert chunk is not None
    return chunk


def data_of(trainer: Trainer) -> UnitDataModule:
    """Return the DataModule of a fit."""
    return cast("UnitDataModule", getattr(trainer, "datamodule"))  # noqa: B009  # Lightning does not declare it


def _target(chunk: Chunk, unit: Unit, seed: int) -> dict[str, Any]:
    """Return the fields of a record that say what was asked for."""
    return {
        "site": unit.site,
        "kind": chunk.site.kind,
        "depth": chunk.site.depth,
        "unit": unit.index,
        "address": unit.address,
        "sign": unit.sign,
        "direction": unit.direction,
        "seed": seed,
    }


def _moments(steps: int, count: int) -> set[int]:
    """Return `count` steps, evenly spaced, the last one among them."""
    return {round(steps * (index + 1) / count) for index in range(count)}


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
