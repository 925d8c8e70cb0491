"""Compare runs on the units that all of them have: a run with easier units is no better recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vitvis.runs import read_records
from vitvis.runs.summary import summarize
from vitvis.sweep.spec import Metric
from vitvis.sweep.trials import Trial, read_value

__all__ = ["Key", "Shared", "compare_on_shared", "unit_key"]

#: An image of a run: address of its unit, and seed.
Key = tuple[str, int]


@dataclass(frozen=True)
class Shared:
    """What finished runs have in common.

    Attributes:
        keys: Images (a unit from a seed) that every finished run has.
        total: Images that at least one of them has.
        runs: Finished runs.
    """

    keys: frozenset[Key]
    total: int
    runs: int

    @property
    def sentence(self) -> str:
        """One line for people: how many are shared, and what that means."""
        if self.runs < 2 or self.total == 0:
            return ""
        who = f"all {self.runs} finished runs"
        if not self.keys:
            return f"No unit is in {who}, so each figure is about other units: compare with care."
        if len(self.keys) == self.total:
            return f"All {self.total} units and seeds are in {who}."
        return f"Compared on the {len(self.keys)} of {self.total} units and seeds that are in {who}."


def unit_key(record: Mapping[str, object]) -> Key:
    """Return what tells the images of a run apart: address and seed."""
    return str(record["address"]), int(record.get("seed") or 0)  # type: ignore[call-overload]


def compare_on_shared(trials: Sequence[Trial], metric: Metric, best: Mapping[str, float] | None = None) -> Shared:
    """Make summaries and values of finished trials anew from the units that all of them have, in place.

    Where they have all units in common, or none, nothing changes. A metric that is no part of the summary (a column
    of `metrics.csv`) keeps its value.

    Args:
        trials: All trials; those that have no value are left alone.
        metric: What they are compared by.
        best: Activations of the dataset's best images.
    """
    finished = {
        i: {unit_key(record): record for record in read_records(trial.path)}
        for i, trial in enumerate(trials)
        if trial.path is not None and trial.value is not None
    }
    sets = [set(records) for records in finished.values()]
    shared = Shared(frozenset(set.intersection(*sets) if sets else ()), len(set().union(*sets)), len(sets))
    if shared.keys and len(shared.keys) < shared.total:
        for i, records in finished.items():
            trial = trials[i]
            trial.summary = summarize([records[key] for key in records if key in shared.keys], best)
            if metric.name.removeprefix("summary/") in trial.summary:
                trial.value = read_value(str(trial.path), metric.name, trial.summary)
    return shared
