"""A sweep as an Optuna study on disk: which setting comes next, what is known, what is stopped early."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitvis.errors import VitvisError, sentence
from vitvis.runs.files import atomic_write
from vitvis.sweep.parameters import Parameter
from vitvis.sweep.space import GRID_LIMIT, decode, distribution_of, grid_points, grid_size
from vitvis.sweep.spec import EarlyTerminate, SweepSpec

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

__all__ = ["SweepStudy", "drop_broken_line", "find_cap", "pruner_of"]

_JOURNAL = "study.journal"
_log = logging.getLogger("vitvis")


class SweepStudy:
    """The trials of a sweep, kept in `FOLDER/study.journal`, which survives a kill between any two lines.

    Args:
        spec: The sweep file.
        folder: The sweep's folder.
        seed: Trial n of a random sweep draws from (seed, n), so that a sweep that was stopped and started again
            draws what one run would have drawn.
        run_cap: Most trials; the file's when None.
        known: Looks at the study that the folder holds and raises when it can't be right. A journal that is damaged is
            begun anew: the run of each trial is still in its folder, and has only to be read.

    Raises:
        VitvisError: Optuna is not installed; a random or bayes sweep without a cap.
    """

    def __init__(
        self,
        spec: SweepSpec,
        folder: Path,
        *,
        seed: int = 0,
        run_cap: int | None = None,
        known: Callable[[SweepStudy], None] | None = None,
    ) -> None:
        try:
            import optuna
            from optuna.storages import JournalStorage
            from optuna.storages.journal import JournalFileBackend
        except ImportError:
            raise VitvisError("vitvis.sweep needs Optuna: pip install 'vitvis[sweep]'") from None
        self.spec, self.seed = spec, seed
        self.cap = find_cap(spec, run_cap)
        optuna.logging.set_verbosity(optuna.logging.ERROR)

        def load() -> Study:
            return optuna.create_study(
                study_name=spec.name,
                storage=JournalStorage(JournalFileBackend(str(path))),
                direction=spec.metric.goal,  # type: ignore[arg-type]
                pruner=pruner_of(spec.early_terminate),
                load_if_exists=True,
            )

        path = folder / _JOURNAL
        drop_broken_line(path)
        for lock in folder.glob(f"{_JOURNAL}.lock*"):  # of a run that was killed: the folder is ours now
            lock.unlink(missing_ok=True)
        try:
            self.study: Study = load()
            if known is not None:
                known(self)
        except Exception as error:  # Optuna raises what a damaged line happens to lead to
            if not path.is_file():
                raise
            _log.warning(
                "%s: is damaged (%s) and was removed; trials that are done are taken up again", path, sentence(error)
            )
            path.unlink()
            self.study = load()
        if spec.method == "grid":
            self._queue_grid()

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials, waiting ones too, by number."""
        return self.study.get_trials(deepcopy=False)

    def interrupted(self) -> list[Trial]:
        """Return the trials that were running when the sweep was stopped."""
        from optuna.trial import Trial, TrialState

        running = [trial for trial in self.trials if trial.state == TrialState.RUNNING]
        return [self._completed(trial, Trial(self.study, trial._trial_id)) for trial in running]

    def _completed(self, known: FrozenTrial, trial: Trial) -> Trial:
        """Draw what a kill has kept a trial from drawing, as it would have been drawn."""
        sampler = self.study.sampler = self._sampler(known.number)
        for parameter in self.spec.varied:
            distribution = distribution_of(parameter)
            if parameter.name in known.params and parameter.name not in known.system_attrs.get("fixed_params", {}):
                sampler.sample_independent(self.study, known, parameter.name, distribution)  # it comes before
            elif parameter.name not in known.params:
                trial._suggest(parameter.name, distribution)
        return trial

    def queue_failed(self) -> int:
        """Queue every failed setting once more; return how many. Each is tried again as a trial of its own."""
        from optuna.trial import TrialState

        again = {trial.user_attrs.get("retry_of") for trial in self.trials}
        failed = [trial for trial in self.trials if trial.state == TrialState.FAIL and trial.number not in again]
        for trial in failed:
            self.study.enqueue_trial(trial.params, user_attrs={"retry_of": trial.number})
        self.cap += len(failed)
        return len(failed)

    def ask(self) -> Trial | None:
        """Return the next trial to run, or None when there is none left."""
        from optuna.trial import TrialState

        started = [trial for trial in self.trials if trial.state != TrialState.WAITING]
        waiting = len(self.trials) - len(started)
        if len(started) >= self.cap or (self.spec.method == "grid" and not waiting):
            return None
        self.study.sampler = self._sampler(len(started))
        return self.study.ask({p.name: distribution_of(p) for p in self.spec.varied})

    def values(self, trial: Trial | FrozenTrial) -> dict[str, Any]:
        """Return the value of every parameter of the file in a trial, by dotted name."""
        return values_of(self.spec.parameters, trial.params)

    def reached_target(self) -> bool:
        """Say whether a trial has reached the metric's `target`."""
        target, metric = self.spec.metric.target, self.spec.metric
        return target is not None and any(
            trial.value is not None and not metric.better(target, trial.value)
            for trial in self.trials
            if trial.state.name == "COMPLETE"
        )

    def _sampler(self, number: int) -> BaseSampler:
        import numpy as np
        from optuna.samplers import RandomSampler, TPESampler

        seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
        if self.spec.method != "bayes":
            return RandomSampler(seed=seed)
        # a small budget leaves no room for TPE's usual ten random trials
        return TPESampler(seed=seed, n_startup_trials=max(4, min(10, self.cap // 4)), constant_liar=True)

    def _queue_grid(self) -> None:
        """Queue the points that no trial has yet, in the order of the file."""
        known = {_key(trial.params or trial.system_attrs.get("fixed_params", {})) for trial in self.trials}
        if len(known) >= self.cap:
            return
        for point in grid_points(self.spec.parameters, self.cap):
            if _key(point) not in known:
                self.study.enqueue_trial(point)


def find_cap(spec: SweepSpec, run_cap: int | None) -> int:
    """Return the most trials of a sweep.

    Args:
        spec: The sweep file.
        run_cap: As asked for; the file's when None.

    Raises:
        VitvisError: it would never end, or the grid is larger than any machine is patient.
    """
    cap = run_cap or spec.run_cap
    if spec.method == "grid":
        size = grid_size(spec.parameters)
        cap = min(size, cap) if cap else size
        if cap > GRID_LIMIT:
            raise VitvisError(f"{spec.path}: a grid of {cap:,} points; the most is {GRID_LIMIT:,}: give run_cap=N")
    if cap is None:
        raise VitvisError(f"{spec.path}: method {spec.method} never ends; give run_cap=N")
    return cap


def drop_broken_line(path: Path) -> None:
    """Cut off what a kill has left of a journal's last line; Optuna would read no line of it."""
    try:
        data = path.read_bytes()
    except OSError:
        return
    whole, end, _ = data.rpartition(b"\n")
    if len(whole + end) < len(data):
        atomic_write(path, whole + end)


def values_of(parameters: tuple[Parameter, ...], draws: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of each parameter for one trial's draws."""
    return {p.name: decode(p, draws[p.name]) if p.varies else p.constant for p in parameters}


def pruner_of(early: EarlyTerminate | None) -> BasePruner:
    """Return Optuna's pruner for an `early_terminate` block.

    W&B's "hyperband" compares every run with all others at each band: that is one bracket of hyperband, which
    Optuna calls asynchronous successive halving. Its factor is a whole number, so eta is rounded, to at least 2.
    """
    from optuna.pruners import NopPruner, SuccessiveHalvingPruner

    if early is None:
        return NopPruner()
    return SuccessiveHalvingPruner(min_resource=early.min_iter, reduction_factor=max(2, round(early.eta)))


def _key(draws: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(draws.items()))
