"""What a fit leaves of each chunk: its curves, its images, its records, as soon as it is done."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from PIL import Image
from pytorch_lightning import Callback, LightningModule, Trainer

from vitvis.backbones import Unit
from vitvis.fit.checkpoints import Checkpoints
from vitvis.fit.chunks import Chunk
from vitvis.fit.pictures import image_path, to_bytes, to_shown
from vitvis.fit.writing import Background
from vitvis.runs import RunFolder, save_png, to_csv
from vitvis.runs.summary import RunningSummary

if TYPE_CHECKING:
    from vitvis.fit.datamodule import Step
    from vitvis.fit.module import ActivationMaximization
    from vitvis.fit.plan import Plan

__all__ = ["CURVES", "Results", "Verdicts"]

#: Takes records, as far as they are known, and their images `[N, 3, H, W]`; returns more columns of each record.
Verdicts = Callable[[Sequence[Mapping[str, Any]], torch.Tensor], Sequence[dict[str, Any]]]

#: Folder of the curves of chunks, until they are joined.
CURVES = "metrics"


class Results(Callback):
    """Measure a chunk that ends and write it while the next one runs: curves, images, then records.

    Args:
        folder: The run folder.
        plan: Of the run.
        checkpoints: Of the run folder; a chunk that is written needs its own no more.
        verdicts: Judges the pictures of a chunk; its columns become part of the records.
    """

    def __init__(
        self, folder: RunFolder, plan: Plan, checkpoints: Checkpoints, verdicts: Verdicts | None = None
    ) -> None:
        self.folder = folder
        self.plan = plan
        self.checkpoints = checkpoints
        self.verdicts = verdicts
        self.made = 0
        logger = plan.settings.logger
        self._every = 0 if logger.kind == ["none"] else logger.every
        self._summary = RunningSummary()
        self._rows: list[dict[str, Any]] = []
        self._before = 0.0  # seconds that the chunk at hand took until it was taken up again
        self._began = 0.0
        self._background = Background()

    def state_dict(self) -> dict[str, Any]:
        """Return curves and seconds of the chunk at hand."""
        return {"rows": list(self._rows), "seconds": self._before + time.perf_counter() - self._began}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with these curves and seconds."""
        self._rows, self._before = list(state_dict["rows"]), state_dict["seconds"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the running summary with what there is in the folder."""
        if trainer.is_global_zero:
            self._summary.add(self.folder.records())

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Step, batch_idx: int) -> None:
        """Begin a chunk."""
        if batch.state is not None:
            self._rows, self._before, self._began = [], 0.0, time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Step, batch_idx: int
    ) -> None:
        """Keep a row of the curves when it is time for one; finish a chunk that ends."""
        step = batch.step + 1
        if self._every and (step % self._every == 0 or step == 1 or batch.last):
            curves = {name: float(value) for name, value in outputs["curves"].items()}
            self._rows.append({"chunk": batch.chunk.name, "site": batch.chunk.site.name, "step": step} | curves)
        if batch.last:
            self._finish(trainer, cast("ActivationMaximization", pl_module), batch.chunk)

    def _finish(self, trainer: Trainer, module: ActivationMaximization, chunk: Chunk) -> None:
        measures, images = module.results(), module.pictures()
        channels = module.backbone.channels
        pixels = to_shown(to_bytes(images), channels, self.plan.settings.bands)
        raw = images.half().cpu().numpy() if channels not in (1, 3) else None  # a picture does not hold all bands
        shared = {
            "width": int(pixels.shape[2]),
            "height": int(pixels.shape[1]),
            "steps": self.plan.settings.steps,
            "seconds": (self._before + time.perf_counter() - self._began) / len(chunk),
            "device": _device_name(module.device),
        }
        backbone = self.plan.backbone
        common = {"backbone": backbone.name, "weights_id": backbone.weights_id, "recipe": self.plan.recipe_hash}
        records = [
            common | _target(chunk, unit, seed) | {"image": image_path(unit, seed)} | shared | measure
            for unit, seed, measure in zip(chunk.units, chunk.seeds, measures, strict=True)
        ]
        if self.verdicts is not None:
            shown = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255  # what the PNG will hold
            found = self.verdicts(records, shown)
            records = [record | verdict for record, verdict in zip(records, found, strict=True)]
        self.made += len(chunk)
        summary = {f"summary/{name}": value for name, value in self._summary.add(records).values().items()}
        for logger in trainer.loggers:
            logger.log_metrics(summary, step=trainer.global_step)
        curves = self._rows
        if curves:
            curves[-1] |= summary
        self._background.submit(lambda: self._write(chunk, records, pixels, raw, curves))

    def _write(
        self,
        chunk: Chunk,
        records: list[dict[str, Any]],
        pixels: np.ndarray,
        raw: np.ndarray | None,
        curves: list[dict[str, Any]],
    ) -> None:
        """Write the chunk: curves, then images, then records, which say that it is done."""
        if curves:
            self.folder.write_text(f"{CURVES}/{chunk.name}.csv", to_csv(curves))
        files = {
            record["image"]: save_png(Image.fromarray(array), self.plan.text(record["address"], record["seed"]))
            for record, array in zip(records, pixels, strict=True)
        }
        for record, bands in zip(records, [] if raw is None else raw, strict=False):
            self.folder.write_bytes(str(Path(record["image"]).with_suffix(".npy")), _npy(bands))
        self.folder.write_shard(chunk.name, records, files)
        self.checkpoints.remove(chunk)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Wait until all is written; an error of the writing ends the run here."""
        self._background.join()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Let finished chunks reach the disk: Lightning comes here on Ctrl-C, on SIGTERM and on errors."""
        with suppress(Exception):  # the exception at hand is the one to tell
            self._background.join()


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


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
