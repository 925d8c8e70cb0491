"""A whole fit: plan, execute, finish."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitvis.config.core import to_container
from vitvis.fit.execution import execute, make_trainer, open_folder
from vitvis.fit.finishing import finish
from vitvis.fit.plan import Plan, make_plan
from vitvis.fit.results import Verdicts
from vitvis.fit.settings import FitSettings
from vitvis.launch.isolation import own_world
from vitvis.launch.loggers import build_loggers, close_loggers, log_images, log_summary

if TYPE_CHECKING:
    from pytorch_lightning import Callback

__all__ = ["Fit", "run_fit"]


@dataclass
class Fit:
    """A fit that is done.

    Attributes:
        plan: What it did.
        path: The run folder.
        primary: Whether this process is rank 0.
        made: How many images this process made.
        records: All records of the folder; on ranks other than 0 those of that moment.
        summary: Score and its parts; only on rank 0.
        sheet: The contact sheet; only on rank 0.
    """

    plan: Plan
    path: Path
    primary: bool
    made: int = 0
    records: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, float] = field(default_factory=dict)
    sheet: Path | None = None


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
    with own_world(settings.trainer.threads):
        plan = make_plan(settings)
        judge = verdicts(plan) if verdicts is not None else None
        trainer = make_trainer(plan)
        done = Fit(plan, plan.path, trainer.is_global_zero)
        with open_folder(plan, primary=done.primary) as folder:
            loggers = []
            if done.primary:
                for warning in plan.warnings:
                    logging.getLogger("vitvis").warning(warning)
                loggers = build_loggers(settings.logger, plan.path, to_container(settings))
            try:
                done.made = execute(plan, folder, trainer, loggers=loggers, callbacks=callbacks, verdicts=judge)
                if done.primary:
                    finished = finish(folder)
                    done.summary, done.sheet, done.records = finished.summary, finished.sheet, finished.records
                    log_images(loggers, {"sheet": finished.page}, trainer.global_step)
                    log_summary(loggers, finished.summary)
                else:
                    done.records = folder.records()
            finally:
                close_loggers(loggers)
    return done
