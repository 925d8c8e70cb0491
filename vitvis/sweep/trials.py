"""Trials as data: what a setting gave, read from its own run folder."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vitvis.config.values import flatten_values
from vitvis.errors import VitvisError, sentence
from vitvis.runs import Ledger, inside, read_config, read_csv, read_json, read_manifest, read_records
from vitvis.runs.summary import summarize
from vitvis.sweep.spec import Metric

__all__ = ["Trial", "metric_history", "read_runs", "read_summary", "read_sweep_or_runs", "read_value", "sort_trials"]

_log = logging.getLogger("vitvis")
_PREFIX = "summary/"
_NO_SETTING = ("out", "logger", "trainer", "chunk")


@dataclass
class Trial:
    """One setting and what came of it.

    Attributes:
        name: `000`, or the folder's name.
        path: Its run folder, or None when it made none.
        settings: Value of each varied setting by dotted name.
        state: `complete`, `pruned`, `failed`, `running`, `waiting`, or `unfinished` (some units are missing).
        value: The metric, or None.
        summary: Its parts (`vitvis.runs.summary`).
        seconds: Time it took.
        error: Last lines of a failed one.
    """

    name: str
    path: str | None
    settings: dict[str, Any]
    state: str = "complete"
    value: float | None = None
    summary: dict[str, float] = field(default_factory=dict)
    seconds: float | None = None
    error: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def read_summary(folder: str | Path, best: Mapping[str, float] | None = None) -> dict[str, float]:
    """Return the summary of a fit run: its own `summary.json`, or one made from its records.

    Args:
        folder: The run folder.
        best: Activations of the dataset's best images; with them the summary is made anew.
    """
    path = Path(folder) / "summary.json"
    if path.is_file() and not best and Ledger(folder).is_whole(path.name):
        content = read_json(path)
        if isinstance(content, dict):
            return {
                key.removeprefix(_PREFIX): float(value)
                for key, value in content.items()
                if isinstance(value, int | float) and not isinstance(value, bool)
            }
    return summarize(read_records(folder), best)


def read_value(folder: str | Path, metric: str, summary: Mapping[str, float]) -> float:
    """Return a metric of a finished run: from its summary, else its last value in `metrics.csv`.

    Raises:
        VitvisError: there is no such metric; names those that there are.
    """
    if metric.removeprefix(_PREFIX) in summary:
        value = summary[metric.removeprefix(_PREFIX)]
    else:
        history = metric_history(folder, metric)
        if not history:
            names = ", ".join(f"{_PREFIX}{name}" for name in summary)
            raise VitvisError(f"no metric '{metric}' in summary.json or metrics.csv (there are: {names})")
        value = history[-1]
    if not math.isfinite(value):
        raise VitvisError(f"{metric} is {value}")
    return value


def metric_history(folder: str | Path, metric: str) -> list[float]:
    """Return every value of a metric in a run's curves so far; none while there are no curves.

    A run that is under way keeps them in `metrics/CHUNK.csv`, a finished one in `metrics.csv`.
    """
    folder = Path(folder)
    values: list[float] = []
    for path in [folder / "metrics.csv", *sorted((folder / "metrics").glob("*.csv"))]:
        for row in read_csv(path):
            try:
                values.append(float(row.get(metric) or ""))
            except ValueError:  # a row of other metrics
                continue
    return values


def sort_trials(trials: Sequence[Trial], metric: Metric) -> list[Trial]:
    """Return trials from best to worst; those without a value last, in their own order."""
    sign = -1 if metric.goal == "maximize" else 1
    return sorted(trials, key=lambda trial: (trial.value is None, sign * (trial.value or 0.0)))


def read_runs(paths: Sequence[str | Path], metric: Metric, best: Mapping[str, float] | None = None) -> list[Trial]:
    """Return fit runs, and the trials of sweeps, as trials; their settings are those in which they differ.

    Raises:
        VitvisError: a path is neither a fit run nor a sweep.
    """
    folders: list[Path] = []
    for path in map(Path, paths):
        kind = read_manifest(path)["kind"]
        if kind == "sweep":
            folders += sorted(item.parent for item in path.glob("trials/*/manifest.json"))
        elif kind == "fit":
            folders.append(path)
        else:
            raise VitvisError(f"{path}: is a run of vitvis.{kind}; a report compares runs of vitvis.fit and sweeps")
    if not folders:
        raise VitvisError(f"--report {' '.join(map(str, paths))}: holds no run yet")
    flat = [_settings(folder) for folder in folders]
    names = dict.fromkeys(name for settings in flat for name in settings)
    varied = [name for name in names if len({json.dumps(settings.get(name)) for settings in flat}) > 1]
    trials = []
    for folder, settings in zip(folders, flat, strict=True):
        trial = Trial(folder.name, str(folder), {name: settings.get(name) for name in varied})
        _measure(trial, metric, best)
        trial.seconds = trial.summary.get("seconds")
        if trial.state == "complete" and not (folder / "summary.json").is_file():
            trial.state, trial.value = "unfinished", None  # fewer units than the others: it can't be ranked with them
        trials.append(trial)
    return trials


def read_sweep_or_runs(
    paths: Sequence[str | Path], best: Mapping[str, float] | None = None
) -> tuple[str, str, Metric, list[Trial]]:
    """Return name, description, metric and trials of one sweep folder, or of any list of runs.

    Raises:
        VitvisError: a path is neither a fit run nor a sweep.
    """
    path = Path(paths[0])
    if len(paths) == 1 and read_manifest(path)["kind"] == "sweep" and (path / "summary.json").is_file():
        try:
            content, metric, trials = _read_sweep(path)
        except VitvisError as error:
            _log.warning("%s; the trials' own folders are compared by summary/score", error)
        else:
            for trial in trials:
                if trial.path and trial.state == "complete":
                    _measure(trial, metric, best)
            return str(content.get("name")), str(content.get("description") or ""), metric, trials
    metric = Metric()
    return "comparison", "", metric, read_runs(paths, metric, best)


def _summary_anew(folder: str | Path, best: Mapping[str, float] | None) -> dict[str, float]:
    """Return a run's own summary with all parts made anew, so that runs of other versions are judged alike."""
    records = read_records(folder)
    return read_summary(folder) | (summarize(records, best) if records else {})


def _measure(trial: Trial, metric: Metric, best: Mapping[str, float] | None) -> None:
    """Read what a run is worth; one that is damaged is a failed trial, with the line that says what is wrong."""
    try:
        trial.summary = _summary_anew(str(trial.path), best)
        trial.value = read_value(str(trial.path), metric.name, trial.summary)
    except VitvisError as error:
        trial.state, trial.value, trial.error = "failed", None, str(error)


def _read_sweep(path: Path) -> tuple[dict[str, Any], Metric, list[Trial]]:
    """Return the summary of a sweep, its metric, and its trials with paths that lie in it.

    Raises:
        VitvisError: the file is damaged, or was written by nothing of ours.
    """
    file = path / "summary.json"
    content = read_json(file)
    if not Ledger(path).is_whole(file.name):
        raise VitvisError(f"{file}: is damaged (it is not what was written)")
    try:
        metric = Metric(**content["metric"])
        trials = [Trial(**item) for item in content["trials"]]
        for trial in trials:
            own = inside(path, trial.path) if trial.path else None
            if trial.path and own is None:
                raise VitvisError(f"{file}: trial {trial.name} lies outside of the sweep's folder")
            trial.path = str(own) if own is not None and own.is_dir() else None
            if not isinstance(trial.settings, dict) or not isinstance(trial.summary, dict):
                raise TypeError("settings")
    except (KeyError, TypeError, AttributeError) as error:
        raise VitvisError(f"{file}: is no summary of a sweep ({sentence(error)})") from None
    return content, metric, trials


def _settings(folder: Path) -> dict[str, Any]:
    return flatten_values({key: value for key, value in read_config(folder).items() if key not in _NO_SETTING})
