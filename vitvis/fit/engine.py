"""A whole fit: plan, execute, finish."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitvis.config.core import to_container
from vitvis.fit.checkpoints import Checkpoints
from vitvis.fit.execution import execute, make_trainer, open_folder
from vitvis.fit.finishing import finish
from vitvis.fit.plan import Plan, make_plan
from vitvis.fit.results import Verdicts
from vitvis.fit.settings import FitSettings
from vitvis.launch.isolation import isolated
from vitvis.launch.loggers import build_loggers, close_loggers, log_images, log_summary
from vitvis.runs import RunFolder

if TYPE_CHECKING:
    from PIL.Image import Image
    from pytorch_lightning import Callback
    from pytorch_lightning.loggers import Logger

__all__ = ["Fit", "finish_fit", "run_fit"]

#: Seconds that the last shard waits for another one that draws and sums up; it then does so again, with all there is.
FINISHING = 3600.0


@dataclass
class Fit:
    """A fit that is done.

    Attributes:
        plan: What it did; None where a folder was only finished.
        path: The run folder.
        primary: Whether this process is rank 0.
        made: How many images this process made.
        records: All records of the folder; on ranks other than 0 those of that moment.
        summary: Score and its parts; only on rank 0.
        sheet: The contact sheet, and `page`, its picture; only on rank 0, and of shards only for the last.
    """

    plan: Plan | None
    path: Path
    primary: bool
    made: int = 0
    records: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, float] = field(default_factory=dict)
    sheet: Path | None = None
    page: Image | None = None

    def finish(self, folder: RunFolder) -> None:
        """Draw and sum up the folder; of a run that is done, what it would go on from is needed no more."""
        finished = finish(folder)
        self.summary, self.sheet, self.records = finished.summary, finished.sheet, finished.records
        self.page = finished.page
        if self.plan is not None:
            Checkpoints(folder).clear()


def finish_fit(settings: FitSettings) -> Fit:
    """Draw and sum up the folder of a fit, whoever has made what is in it.

    Raises:
        VitvisError: there is no such folder, or a run that is no shard is working in it.
    """
    path = Path(settings.out) if settings.out else make_plan(settings).path
    done = Fit(None, path, primary=True)
    with RunFolder.reopen(path, "fit") as folder:
        done.finish(folder)
    return done


@isolated
def run_fit(
    settings: FitSettings,
    callbacks: Sequence[Callback] = (),
    verdicts: Callable[[Plan], Verdicts] | None = None,
) -> Fit:
    """Make the images that `settings` ask for, except those that the run folder holds already.

    Args:
        settings: Everything about the run.
        callbacks: More of Lightning's callbacks, called after vitvis's own.
        verdicts: Makes, from the plan, what judges the pictures of each chunk.

    Raises:
        VitvisError: settings that can't be followed; nothing is written then.
    """
    if settings.finish:
        return finish_fit(settings)
    plan = make_plan(settings)
    judge = verdicts(plan) if verdicts is not None else None
    trainer = make_trainer(plan)
    done = Fit(plan, plan.path, trainer.is_global_zero)
    loggers: list[Logger] = []
    try:
        with open_folder(plan, primary=done.primary) as folder:
            if folder.manifest["chunk"] != plan.chunk_size:  # another shard was first, on another kind of machine
                done.plan = plan = plan.cut(folder.manifest["chunk"])
            if done.primary:
                for warning in plan.warnings:
                    logging.getLogger("vitvis").warning(warning)
                loggers = build_loggers(settings.logger, plan.path, to_container(settings))
            done.made = execute(plan, folder, trainer, loggers=loggers, callbacks=callbacks, verdicts=judge)
            done.records = folder.records()
            if done.primary and not settings.shard:
                done.finish(folder)
        if done.primary and settings.shard and plan.is_done(done.records):
            with RunFolder.reopen(plan.path, "fit", patience=FINISHING) as folder:
                done.finish(folder)
        if done.page is not None:
            log_images(loggers, {"sheet": done.page}, trainer.global_step)
            log_summary(loggers, done.summary)
    finally:
        close_loggers(loggers)
    return done
