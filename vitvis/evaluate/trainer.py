"""The Lightning Trainer of an evaluation: no checkpoints, no logs, no sampler that pads."""

from __future__ import annotations

import logging
import sys
import warnings

from pytorch_lightning import Trainer

from vitvis.errors import VitvisError
from vitvis.evaluate.settings import EvaluateTrainerSettings
from vitvis.launch.ranks import trainer_arguments
from vitvis.launch.settings import TrainerSettings

__all__ = ["make_trainer"]


def make_trainer(settings: EvaluateTrainerSettings) -> Trainer:
    """Return a Trainer for one pass over the data.

    Several ranks are plain DDP here, unlike in a fit: scores are joined at the end. Lightning sends rank 0's weights to
    all ranks once; all hold the same frozen weights, so that costs a moment and changes nothing.

    Raises:
        VitvisError: the machine has no such device.
    """
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")  # Lightning's, for torch to come
    warnings.filterwarnings("ignore", message=".*use_distributed_sampler.*")
    warnings.filterwarnings("ignore", message=".*compute.*RowScores.*")  # no image could be used: said in an error
    shared = TrainerSettings(
        accelerator=settings.accelerator,
        devices=settings.devices,
        num_nodes=settings.num_nodes,
        precision=settings.precision,
    )
    arguments = trainer_arguments(shared)
    if arguments["strategy"] != "auto":
        arguments["strategy"] = "ddp"
    bar = settings.progress == "bar" or (settings.progress == "auto" and sys.stderr.isatty())
    try:
        return Trainer(
            **arguments,
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=bar,
            use_distributed_sampler=False,
            inference_mode=True,
        )
    except Exception as error:  # Lightning raises its own MisconfigurationException, ValueError, RuntimeError
        asked = f"trainer.accelerator={settings.accelerator} trainer.devices={settings.devices}"
        raise VitvisError(f"{asked}: {error}") from None
