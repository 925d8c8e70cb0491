"""What a sweep, or any list of runs, comes to: the trials, what orders them, the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vitvis.sweep.shared import Shared
from vitvis.sweep.spec import Metric
from vitvis.sweep.trials import Trial, sort_trials

__all__ = ["Comparison"]


@dataclass(frozen=True)
class Comparison:
    """What a report is about.

    Attributes:
        name: Title.
        trials: All of them, failed ones too.
        metric: What they are ordered by.
        description: A sentence or two for the page.
        best: Activations of the dataset's best images by address, or None.
        columns: Most settings on the sheet.
        rows: Most units on the sheet.
        shared: The units that the finished runs have in common: what they were compared on.
        folder: Where the comparison is written.
    """

    name: str
    trials: Sequence[Trial]
    metric: Metric
    description: str = ""
    best: Mapping[str, float] | None = None
    columns: int = 16
    rows: int = 32
    shared: Shared | None = None
    folder: Path = Path()

    @property
    def ranked(self) -> list[Trial]:
        """The trials from best to worst."""
        return sort_trials(self.trials, self.metric)

    @property
    def winner(self) -> Trial | None:
        """The best trial, or None while none has a value."""
        ranked = self.ranked
        return ranked[0] if ranked and ranked[0].value is not None else None
