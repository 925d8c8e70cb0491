"""A whole fit: plan, execute, finish."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from vitvis.config.core import to_container
from vitvis.fit.checkpoints import Checkpoints
from vitvis.fit.execution import execute, make_trainer, open_folder
from vitvis.fit.finishing import finish
from vitvis.fit.plan import Plan, make_plan
from vitvis.fit.results import Verdicts
from vitvis.fit.settings import FitSettings
from vitvis.fit.suiting import choose_precision, choose_processes
from vitvis.launch.forks import side_by_side
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
    *,
    forks: bool = False,
) -> Fit:
    """Make the images that `settings` ask for, except those that the run folder holds already.

    Args:
        settings: Everything about the run.
        callbacks: More of Lightning's callbacks, called after vitvis's own.
        verdicts: Makes, from the plan, what judges the pictures of each chunk.
        forks: Whether the work may be shared out to forked processes on a CPU; of a process that has done nothing yet.

    Raises:
        VitvisError: settings that can't be followed; nothing is written then.
    """
    if settings.finish:
        return finish_fit(settings)
    threads, alone = torch.get_num_threads(), forks and not settings.trainer.threads
    if alone:  # see may_fork
        torch.set_num_threads(1)
    try:
        plan = choose_precision(make_plan(settings))
        judge = verdicts(plan) if verdicts is not None else None
        count = choose_processes(plan) if forks else 1
        made = _make_side_by_side(plan, count, callbacks, judge, threads) if count > 1 else 0
    finally:
        if alone:
            torch.set_num_threads(threads)
    done = _make(plan, callbacks, judge)
    done.made += made
    return done


def _make_side_by_side(
    plan: Plan, count: int, callbacks: Sequence[Callback], verdicts: Verdicts | None, threads: int
) -> int:
    """Make the images of a plan in several forked processes, and return how many were made.

    Each makes a share of them as `shard=` does. What one that dies has not made is left for this process to make.
    """
    plan.backbone.sites  # noqa: B018  # found once, before the fork
    missing = sum(len(chunk) for chunk in plan.missing())

    def work(index: int) -> None:
        torch.set_num_threads(max(1, threads // count))
        progress = plan.settings.trainer.progress if not index else "none"
        trainer = replace(plan.settings.trainer, progress=progress)
        own = replace(plan, settings=replace(plan.settings, shard=f"{index}/{count}", trainer=trainer))
        _share(own, callbacks, verdicts, beside=count - 1)

    _, troubles = side_by_side(count, work)
    for trouble in troubles:
        logging.getLogger("vitvis").warning("%s; what it has not made is made now", trouble)
    left = sum(len(chunk) for chunk in replace(plan).missing())  # a copy looks at the folder anew
    return missing - left


def _share(plan: Plan, callbacks: Sequence[Callback], verdicts: Verdicts | None, beside: int = 0) -> int:
    """Make the images of a share, and return how many were made."""
    with open_folder(plan) as folder:
        plan = _as_begun(plan, folder)
        return execute(plan, folder, callbacks=callbacks, verdicts=verdicts, beside=beside)


def _as_begun(plan: Plan, folder: RunFolder) -> Plan:
    """Return the plan with the chunks and the precision of its folder: another shard was first, on another machine."""
    if folder.manifest["chunk"] != plan.chunk_size:
        plan = plan.cut(folder.manifest["chunk"])
    if folder.manifest["precision"] != plan.precision:
        plan = plan.at(folder.manifest["precision"])
    return plan


def _make(plan: Plan, callbacks: Sequence[Callback], verdicts: Verdicts | None) -> Fit:
    """Make what is missing of a plan's share, and sum up and draw the folder where that is all."""
    settings = plan.settings
    trainer = make_trainer(plan)
    done = Fit(plan, plan.path, trainer.is_global_zero)
    loggers: list[Logger] = []
    try:
        with open_folder(plan, primary=done.primary) as folder:
            begun = _as_begun(plan, folder)
            if begun.precision != plan.precision:
                trainer = make_trainer(begun)
            done.plan = plan = begun
            if done.primary:
                for warning in plan.warnings:
                    logging.getLogger("vitvis").warning(warning)
                loggers = build_loggers(settings.logger, plan.path, to_container(settings))
            done.made = execute(plan, folder, trainer, loggers=loggers, callbacks=callbacks, verdicts=verdicts)
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
