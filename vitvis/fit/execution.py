"""Do what a plan says: open the folder, let a Trainer work through the chunks."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pytorch_lightning import Trainer

from vitvis.config.core import to_container
from vitvis.errors import VitvisError
from vitvis.fit.checkpoints import Checkpoints, KeepCheckpoints
from vitvis.fit.chunks import Chunk
from vitvis.fit.datamodule import UnitDataModule
from vitvis.fit.plan import Plan
from vitvis.fit.progress import FitProgress
from vitvis.fit.results import Results, Verdicts
from vitvis.fit.strips import ImagesOverTime
from vitvis.launch.ranks import IndependentStrategy, check_nodes
from vitvis.runs import RunFolder

if TYPE_CHECKING:
    from pytorch_lightning import Callback
    from pytorch_lightning.loggers import Logger

__all__ = ["execute", "make_trainer", "open_folder"]


def make_trainer(plan: Plan) -> Trainer:
    """Return the Trainer of a plan; it knows this process's rank.

    Raises:
        VitvisError: the hardware or the nodes asked for aren't there.
    """
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    check_nodes(plan.trainer)
    try:
        return Trainer(
            **plan.trainer,
            logger=False,
            max_epochs=1,
            log_every_n_steps=plan.settings.logger.every,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            default_root_dir=str(plan.path),
        )
    except Exception as error:  # Lightning raises its own MisconfigurationException, ValueError, RuntimeError
        where = plan.settings.trainer
        asked = f"trainer.accelerator={where.accelerator} trainer.devices={where.devices}"
        raise VitvisError(f"{asked}: {str(error).splitlines()[0]}") from None


def open_folder(plan: Plan, *, primary: bool = True) -> RunFolder:
    """Make the run folder of a plan, or go on in it.

    Args:
        plan: Of the run.
        primary: Whether this process is rank 0.

    Raises:
        VitvisError: the folder holds another run, is in use by a live one, or can't be written.
    """
    return RunFolder.open(
        plan.path,
        kind="fit",
        settings=to_container(plan.settings) | {"out": str(plan.path), "shard": None, "finish": False},
        identity=plan.identity(),
        details=plan.details,
        primary=primary,
        shard=plan.shard.name if plan.settings.shard else "",
        adopt=() if plan.settings.trainer.precision != "auto" else ("precision",),
    )


def execute(
    plan: Plan,
    folder: RunFolder,
    trainer: Trainer | None = None,
    *,
    loggers: Sequence[Logger] = (),
    callbacks: Sequence[Callback] = (),
    verdicts: Verdicts | None = None,
    beside: int = 0,
) -> int:
    """Make the images of a plan's share that the folder does not hold, and wait for the other ranks.

    Args:
        plan: What to do.
        folder: The run folder, open.
        trainer: From `make_trainer`.
        loggers: Where curves go beside the folder; only on rank 0.
        callbacks: More of Lightning's, called after vitvis's own.
        verdicts: Judges the pictures of a chunk.
        beside: Processes that this one has forked to work at other shares; the display counts them in.

    Returns:
        How many images this process made.
    """
    trainer = trainer or make_trainer(plan)
    settings, checkpoints = plan.settings, Checkpoints(folder)
    results = Results(folder, plan, checkpoints, verdicts)
    own: list[Any] = [
        ImagesOverTime(folder, units=settings.logger.images, steps=settings.steps, strips=settings.strips),
        results,
        FitProgress(settings.trainer.progress if trainer.is_global_zero else "none", beside + 1),
        *callbacks,
        KeepCheckpoints(checkpoints, settings.trainer.checkpoint_every),
    ]
    trainer.callbacks = own  # type: ignore[attr-defined]
    trainer.loggers = list(loggers)

    def resume(chunk: Chunk) -> dict[str, Any] | None:
        return None if settings.shard and folder.has_shard(chunk.name) else checkpoints.read(chunk)

    chunks = plan.shard.own(plan.chunks)
    asked = {target for chunk in chunks for target in chunk.targets}
    done = folder.done(asked=asked)
    data = UnitDataModule(chunks, settings.steps, done=done, resume=resume, over=plan.module.is_over)
    with warnings.catch_warnings():
        for words in _QUIET:
            warnings.filterwarnings("ignore", message=f".*{words}.*")
        trainer.fit(plan.module, datamodule=data)
    if isinstance(trainer.strategy, IndependentStrategy):
        trainer.strategy.meet()
    return results.made


#: Lightning's notes that mean nothing here: the data is a count of steps, the model is frozen, all may be done already.
_QUIET = (
    "The number of training batches",
    "in eval mode at the start of training",
    "isinstance.treespec, LeafSpec",
    "across ranks is zero",
)
