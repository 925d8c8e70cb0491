"""Loggers by one setting: W&B (online, offline, off), TensorBoard; `metrics.csv` is written by the results callback.

Loggers live on rank 0 alone. W&B is never let to ask a question: without a key or a network a run goes on offline.
"""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitvis.errors import VitvisError
from vitvis.launch.settings import LoggerSettings
from vitvis.runs.wandb_mode import wandb_mode

if TYPE_CHECKING:
    from PIL.Image import Image
    from pytorch_lightning.loggers import Logger

__all__ = ["build_loggers", "close_loggers", "log_images", "log_summary"]

_log = logging.getLogger("vitvis")


def build_loggers(settings: LoggerSettings, folder: Path, config: Mapping[str, Any]) -> list[Logger]:
    """Return Lightning's loggers as the settings name them; call on rank 0 only.

    Args:
        settings: Which loggers, and how.
        folder: The run folder; loggers keep their files in it.
        config: Resolved settings, shown beside the run.

    Raises:
        VitvisError: a logger's package isn't installed.
    """
    found: list[Logger] = []
    for kind in dict.fromkeys(settings.kind):
        if kind == "tensorboard":
            found.append(_tensorboard(folder))
        elif kind == "wandb":
            logger = _wandb(settings, folder, config)
            if logger is not None:
                found.append(logger)
    return found


def log_images(loggers: Sequence[Logger], images: Mapping[str, Image], step: int) -> None:
    """Show pictures by name in every logger that can."""
    import numpy as np
    from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger

    for logger in loggers:
        for name, image in images.items():
            if isinstance(logger, WandbLogger):
                logger.log_image(key=name, images=[image])
            elif isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image(name, np.asarray(image.convert("RGB")), step, dataformats="HWC")


def log_summary(loggers: Sequence[Logger], summary: Mapping[str, float]) -> None:
    """Set the numbers that a whole run is known by."""
    from pytorch_lightning.loggers import WandbLogger

    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.summary.update({f"summary/{name}": value for name, value in summary.items()})


def close_loggers(loggers: Sequence[Logger]) -> None:
    """End what would otherwise end only with the process, so that a second run in it starts anew."""
    from pytorch_lightning.loggers import WandbLogger

    for logger in loggers:
        logger.finalize("success")
        if isinstance(logger, WandbLogger):
            logger.experiment.finish()


def _tensorboard(folder: Path) -> Logger:
    if not any(importlib.util.find_spec(name) for name in ("tensorboard", "tensorboardX")):
        raise VitvisError("logger.kind=tensorboard: the package is missing; pip install 'vitvis[tensorboard]'")
    from pytorch_lightning.loggers import TensorBoardLogger

    return TensorBoardLogger(save_dir=str(folder), name="tensorboard", version="", default_hp_metric=False)


def _wandb(settings: LoggerSettings, folder: Path, config: Mapping[str, Any]) -> Logger | None:
    mode = wandb_mode(settings.mode)
    if mode == "disabled":
        return None
    import wandb
    from pytorch_lightning.loggers import WandbLogger

    def start(mode: str) -> Logger:
        os.environ["WANDB_MODE"] = mode  # the service process reads it too
        run = wandb.init(
            project=settings.project,
            entity=settings.entity,
            name=settings.name or folder.name,
            group=settings.group,
            tags=settings.tags or None,
            dir=str(folder),
            config=dict(config),
            mode=mode,  # type: ignore[arg-type]
            settings=wandb.Settings(init_timeout=30, silent=True, console="off"),
        )
        run.define_metric("summary/score", summary="last")
        return WandbLogger(experiment=run)

    before = os.environ.get("WANDB_MODE")
    try:
        return start(mode)
    except (wandb.Error, OSError) as error:
        if mode == "offline":
            raise VitvisError(f"logger=wandb: {error}; try logger=csv") from None
        _log.warning("W&B can't be reached (%s); logging offline instead", str(error).splitlines()[0])
        return start("offline")
    finally:
        if before is None:
            os.environ.pop("WANDB_MODE", None)
        else:
            os.environ["WANDB_MODE"] = before
