"""Run a sweep on this machine: ask the study, start children, read what they left, tell the study."""

from __future__ import annotations

import math
import queue
import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitvis.errors import VitvisError
from vitvis.runs import RunFolder
from vitvis.runs.verify import verify
from vitvis.sweep.check import check_trial
from vitvis.sweep.children import Child, Slot, last_lines, stop_all, stop_orphan
from vitvis.sweep.command import assemble, expand
from vitvis.sweep.spec import SweepSpec
from vitvis.sweep.study import SweepStudy
from vitvis.sweep.trials import Trial, metric_history, read_summary, read_value

if TYPE_CHECKING:
    import optuna

__all__ = ["SweepRunner", "check_study", "trial_path"]

_STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running", "WAITING": "waiting"}


class SweepRunner:
    """Runs the trials of a study in child processes, as many at once as there are slots.

    Args:
        study: The study.
        folder: The sweep's folder, open.
        slots: Where children run.
        overrides: Settings laid over those of each trial, last (`model=...`).
        best: Activations of the dataset's best images, from a search.
        give_up: Stop when the first so many trials all fail; 0: never.
        poll_s: How often the metric of running trials is looked at, when the file has `early_terminate`.
    """

    def __init__(
        self,
        study: SweepStudy,
        folder: RunFolder,
        slots: Sequence[Slot],
        *,
        overrides: Sequence[str] = (),
        best: Mapping[str, float] | None = None,
        give_up: int = 5,
        poll_s: float = 5.0,
    ) -> None:
        self.study, self.folder, self.slots = study, folder, list(slots)
        self.overrides, self.best, self.give_up = list(overrides), best, give_up
        self.poll_s = poll_s if study.spec.early_terminate else None
        self._events: queue.Queue[tuple[int, int]] = queue.Queue()
        self._children: dict[int, tuple[Child, optuna.Trial]] = {}
        self._results: dict[int, dict[str, float]] = {}

    @property
    def spec(self) -> SweepSpec:
        """The sweep file."""
        return self.study.spec

    def run(self) -> list[Trial]:
        """Run until nothing is left; return all trials.

        Whatever ends it (Ctrl-C, SIGTERM) ends the children too, and leaves their trials to go on with.

        Raises:
            VitvisError: the first trials all failed.
        """
        pending = self.study.interrupted()
        free = list(self.slots)
        try:
            while True:
                while free and (trial := self._next(pending)) is not None:
                    self._start(trial, free.pop(0))
                if not self._children:
                    break
                free += self._wait()
                self._write()
                self._check_failures()
        finally:
            stop_all(child for child, _ in self._children.values())
        self._write()
        return self.trials()

    def trials(self) -> list[Trial]:
        """Return all trials that were started, with what their run folders hold."""
        found = []
        for item in self.study.trials:
            if item.state.name == "WAITING":
                continue
            path = self._path(item.number)
            values = self.study.values(item)
            trial = Trial(
                name=path.name,
                path=str(path) if (path / "manifest.json").is_file() else None,
                settings={parameter.name: values[parameter.name] for parameter in self.spec.varied},
                state=_STATES[item.state.name],
                value=item.value if item.state.name == "COMPLETE" else None,
                seconds=item.user_attrs.get("seconds"),
                error=item.user_attrs.get("error", ""),
            )
            if trial.state in ("complete", "pruned") and trial.path:
                if item.number not in self._results:
                    self._results[item.number] = read_summary(path, self.best)
                trial.summary = self._results[item.number]
            found.append(trial)
        return found

    def _next(self, pending: list[optuna.Trial]) -> optuna.Trial | None:
        if self.study.reached_target():
            return None
        return pending.pop(0) if pending else self.study.ask()

    def _path(self, number: int) -> Path:
        return trial_path(self.folder.path, number)

    def _start(self, trial: optuna.Trial, slot: Slot) -> None:
        path = self._path(trial.number)
        values = self.study.values(trial)
        words = expand(
            self.spec.command,
            assemble(values, self.spec.parameters),
            program=self.spec.program,
            json_file=path.with_suffix(".json"),
        )
        # no logger but the run's own files: a local sweep asks no account and no network
        words += ["logger.kind=csv", *self.overrides, f"out={path}"]
        log = path.with_suffix(".log")
        stop_orphan(log, str(path))
        self._children[trial.number] = (Child(trial.number, words, slot, log, self._events), trial)
        shown = ", ".join(f"{parameter.name}={values[parameter.name]}" for parameter in self.spec.varied)
        self._say(f"trial {path.name} starts on {slot.name}: {shown}")

    def _wait(self) -> list[Slot]:
        """Wait until a child ends or has to be stopped; return the slots that are free again."""
        while True:
            try:
                number, status = self._events.get(timeout=self.poll_s)
            except queue.Empty:
                pruned = [number for number in self._children if self._should_stop(number)]
                if pruned:
                    return [self._prune(number) for number in pruned]
                continue
            if number in self._children:  # else it was pruned, and its end is no news
                child, trial = self._children.pop(number)
                self._finish(child, trial, status)
                return [child.slot]

    def _should_stop(self, number: int) -> bool:
        _, trial = self._children[number]
        return any(trial.should_prune() for _ in self._report_history(trial))

    def _report_history(self, trial: optuna.Trial) -> Iterator[int]:
        """Tell the study the metric's new values; yield after each, so that each band is looked at."""
        known = set(self.study.trials[trial.number].intermediate_values)
        history = metric_history(self._path(trial.number), self.spec.metric.name)
        for step, value in enumerate(history, start=1):
            if step not in known:
                trial.report(value, step)
                yield step

    def _prune(self, number: int) -> Slot:
        from optuna.trial import TrialState

        child, trial = self._children.pop(number)
        stop_all([child])
        trial.set_user_attr("seconds", round(child.seconds, 1))
        self.study.study.tell(trial, state=TrialState.PRUNED)
        self._say(f"trial {self._path(number).name} stopped early")
        return child.slot

    def _finish(self, child: Child, trial: optuna.Trial, status: int) -> None:
        from optuna.trial import TrialState

        path = self._path(trial.number)
        trial.set_user_attr("seconds", round(child.seconds, 1))
        try:
            if status:
                cause = f"exit status {status}" if status > 0 else f"killed by {signal.Signals(-status).name}"
                raise VitvisError(f"{last_lines(child.log, 1) or 'it said nothing'} ({cause}; {child.log})")
            check_trial(self.spec, self.study.values(trial), path, self.overrides)
            summary = read_summary(path, self.best)
            value = read_value(path, self.spec.metric.name, summary)
        except VitvisError as error:
            text = last_lines(child.log) if status else str(error)
            trial.set_user_attr("error", text or str(error))
            self.study.study.tell(trial, state=TrialState.FAIL)
            self._say(f"trial {path.name} failed: {error}")
            return
        self._results[trial.number] = summary
        if self.poll_s is not None:  # later trials are compared with all of it
            for _ in self._report_history(trial):
                trial.should_prune()  # which is how Optuna's pruner notes the bands a trial has passed
        self.study.study.tell(trial, value)
        done = sum(item.state.is_finished() for item in self.study.trials)
        self._say(
            f"trial {path.name} {self.spec.metric.name}={value:.4g} in {child.seconds:.0f} s ({done}/{self.study.cap})"
        )

    def _check_failures(self) -> None:
        states = [item.state.name for item in self.study.trials if item.state.is_finished()]
        if self.give_up and len(states) >= self.give_up and set(states) == {"FAIL"}:
            error = self.study.trials[0].user_attrs.get("error", "").splitlines()
            raise VitvisError(
                f"the first {len(states)} trials all failed; the first ended with: {error[-1] if error else '?'} "
                f"(logs: {self.folder.path / 'trials'}; go on regardless with give_up=0)"
            )

    def _write(self) -> None:
        self.folder.write_json("summary.json", sweep_summary(self.spec, self.trials(), self.folder.path))

    def _say(self, text: str) -> None:
        print(" ".join(text.split()), flush=True)


def trial_path(folder: Path, number: int) -> Path:
    """Return the run folder of a trial."""
    return folder / "trials" / f"{number:03d}"


def check_study(
    study: SweepStudy, folder: Path, overrides: Sequence[str] = (), best: Mapping[str, float] | None = None
) -> None:
    """Compare what the journal says of finished trials with what their runs say.

    Raises:
        VitvisError: a run is lost or damaged, or has other settings or another value.
    """
    for item in study.trials:
        values, path = study.values(item) if item.state.name == "COMPLETE" else {}, trial_path(folder, item.number)
        if item.state.name == "COMPLETE":
            check_trial(study.spec, values, path, overrides)
            value = read_value(path, study.spec.metric.name, read_summary(path, best))
            if item.value is None or not math.isclose(value, item.value, rel_tol=1e-9):
                raise VitvisError(f"trial {path.name} has {value:g}, not {item.value:g}")
            for problem in verify(path)[0].problems if (path / "config.yaml").is_file() else ():
                raise VitvisError(f"trial {path.name}: {problem}")  # its own command mends what is its own


def sweep_summary(spec: SweepSpec, trials: Sequence[Trial], folder: Path) -> dict[str, Any]:
    """Return what `summary.json` of a sweep holds: the metric, the best trial, all trials; paths within `folder`."""
    for trial in trials:
        trial.path = Path(trial.path).relative_to(folder).as_posix() if trial.path else None
    valued = [trial for trial in trials if trial.value is not None]
    best: Trial | None = None
    for trial in valued:
        if best is None or spec.metric.better(trial.value or 0.0, best.value or 0.0):
            best = trial
    return {
        "name": spec.name,
        "description": spec.description,
        "method": spec.method,
        "metric": {"name": spec.metric.name, "goal": spec.metric.goal},
        "parameters": [parameter.name for parameter in spec.varied],
        "best": best.as_dict() if best else None,
        "trials": [trial.as_dict() for trial in trials],
    }
