"""Images while they form: for loggers, and as strips in the run folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from PIL import Image
from pytorch_lightning import Callback, LightningModule, Trainer

from vitvis.fit.pictures import image_path, to_bytes, to_shown
from vitvis.launch.loggers import log_images
from vitvis.runs import RunFolder, save_png

if TYPE_CHECKING:
    from vitvis.fit.datamodule import Step
    from vitvis.fit.module import ActivationMaximization

__all__ = ["ImagesOverTime"]


class ImagesOverTime(Callback):
    """Show some images of each chunk to the loggers while they form, and keep strips of them when asked.

    Args:
        folder: The run folder, for strips.
        units: How many images of a chunk loggers get.
        steps: Of a chunk.
        strips: Moments of each image that go into its strip `progress/SITE/UNIT_sSEED.png`; 0 for no strips.
    """

    MOMENTS = 4

    def __init__(self, folder: RunFolder, *, units: int, steps: int, strips: int = 0) -> None:
        self.folder = folder
        self.units = units
        self._shown, self._kept = _moments(steps, self.MOMENTS if units else 0), _moments(steps, strips)
        self._frames: list[np.ndarray] = []

    def state_dict(self) -> dict[str, Any]:
        """Return the moments of the chunk at hand, `[U, H, W, 3]` each."""
        return {"frames": [torch.from_numpy(frame) for frame in self._frames]} if self._frames else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with these moments."""
        self._frames = [frame.numpy() for frame in state_dict["frames"]]

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Step, batch_idx: int) -> None:
        """Forget the chunk before."""
        if batch.state is not None:
            self._frames = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Step, batch_idx: int
    ) -> None:
        """Take a picture at evenly spaced steps; write the strips of a chunk that ends."""
        step = batch.step + 1
        show, keep = bool(trainer.loggers) and step in self._shown, step in self._kept or (batch.last and self._kept)
        if not (show or keep):
            return
        module = cast("ActivationMaximization", pl_module)
        frame = to_shown(to_bytes(module.images()), module.backbone.channels, module.settings.bands)
        if show:
            shown = list(zip(batch.chunk.targets, frame, strict=True))[: self.units]
            pictures = {f"images/{address}/s{seed}": Image.fromarray(pixels) for (address, seed), pixels in shown}
            log_images(trainer.loggers, pictures, trainer.global_step)
        if keep:
            self._frames.append(frame)
        if batch.last:
            self._write(batch)

    def _write(self, batch: Step) -> None:
        for index, (unit, seed) in enumerate(zip(batch.chunk.units, batch.chunk.seeds, strict=True)):
            if self._frames:
                strip = Image.fromarray(np.concatenate([frame[index] for frame in self._frames], axis=1))
                self.folder.write_bytes(image_path(unit, seed, "progress"), save_png(strip, {"unit": unit.address}))


def _moments(steps: int, count: int) -> set[int]:
    """Return `count` steps, evenly spaced, the last one among them."""
    return {round(steps * (index + 1) / count) for index in range(count)}
