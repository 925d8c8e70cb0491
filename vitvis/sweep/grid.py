"""The same units in every setting, side by side: which pictures stand where, for the sheet and for the page."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vitvis.draw.comparison import Cell, Heading, comparison_sheet
from vitvis.runs import inside
from vitvis.runs.records import find_finished
from vitvis.runs.summary import unit_score
from vitvis.sweep.charts import is_numeric, label_of
from vitvis.sweep.shared import Key, Shared, unit_key
from vitvis.sweep.spec import Metric
from vitvis.sweep.trials import Trial, sort_trials

__all__ = ["Grid", "build_grid", "draw_grid", "sheet_order"]


@dataclass(frozen=True)
class Grid:
    """Pictures by (row, column); rows are units, shallow first, columns are settings.

    Attributes:
        columns: Heads of the columns.
        rows: Heads of the rows.
        cells: What there is; a unit may be missing in a setting.
        hidden: Settings that are left out, since only the best fit.
    """

    columns: list[Heading] = field(default_factory=list)
    rows: list[Heading] = field(default_factory=list)
    cells: dict[tuple[int, int], Cell] = field(default_factory=dict)
    hidden: int = 0


def sheet_order(trials: Sequence[Trial], metric: Metric, limit: int) -> list[Trial]:
    """Return the trials on the sheet: the best `limit`, in order of the value where one number is varied."""
    chosen = [trial for trial in sort_trials(trials, metric) if trial.path is not None][:limit]
    names = list(chosen[0].settings) if chosen else []
    if len(names) == 1 and is_numeric([trial.settings[names[0]] for trial in chosen]):
        return sorted(chosen, key=lambda trial: trial.settings[names[0]])
    return chosen


def build_grid(
    trials: Sequence[Trial],
    metric: Metric,
    *,
    best: Mapping[str, float] | None = None,
    shared: Shared | None = None,
    columns: int = 16,
    rows: int = 32,
) -> Grid:
    """Return the grid of a comparison.

    Args:
        trials: All of them.
        metric: What they are ordered by.
        best: Activations of the dataset's best images, for the score of each picture.
        shared: Rows are the units that finished runs have in common, when they have any.
        columns: Most settings.
        rows: Most units; when there are more, those shown are spread over depth.
    """
    shown = sheet_order(trials, metric, columns)
    records = [_records_by_unit(trial) for trial in shown]
    wanted = shared.keys if shared is not None and shared.runs > 1 else None
    units: dict[Key, dict[str, Any]] = {}
    for by_unit in records:
        units |= {key: record for key, record in by_unit.items() if key not in units and (not wanted or key in wanted)}
    keys = sorted(units, key=lambda key: _place(units[key]))
    if len(keys) > rows:
        keys = [keys[round(i * (len(keys) - 1) / max(1, rows - 1))] for i in range(rows)]
    several_seeds = len({seed for _, seed in keys}) > 1
    winner = next((trial for trial in sort_trials(trials, metric) if trial.value is not None), None)
    return Grid(
        [_heading(trial, trial is winner) for trial in shown],
        [Heading((address, *((f"seed {seed}",) if several_seeds else ()))) for address, seed in keys],
        {
            (r, c): _cell(trial, records[c][key], best)
            for r, key in enumerate(keys)
            for c, trial in enumerate(shown)
            if key in records[c]
        },
        len([trial for trial in trials if trial.path is not None]) - len(shown),
    )


def draw_grid(grid: Grid, title: str) -> bytes:
    """Return the sheet as a PNG."""
    if grid.hidden > 0:
        title += f" (best {len(grid.columns)}, {grid.hidden} more)"
    buffer = io.BytesIO()
    comparison_sheet(grid.columns, grid.rows, grid.cells, title=title).save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def _heading(trial: Trial, is_winner: bool) -> Heading:
    settings = tuple(f"{_short(name)}={label_of(name, value)}" for name, value in trial.settings.items())
    return Heading(settings or (trial.name,), "–" if trial.value is None else f"{trial.value:.3f}", best=is_winner)


def _records_by_unit(trial: Trial) -> dict[Key, dict[str, Any]]:
    return {unit_key(record): record for record in (find_finished(trial.path)[0] if trial.path else [])}


def _cell(trial: Trial, record: Mapping[str, Any], best: Mapping[str, float] | None) -> Cell:
    image = inside(trial.path or "", record.get("image"))
    score = unit_score(record, (best or {}).get(record["address"]))
    rank = f" · rank {record['rank']}" if record.get("rank") else ""
    return Cell(image, f"{score:.2f}{rank}", record.get("status", "ok"))


def _place(record: Mapping[str, Any]) -> tuple[int, str, int, int]:
    return record.get("depth") or 0, record.get("site", ""), record.get("unit") or 0, record.get("seed") or 0


def _short(name: str) -> str:
    """Return the last word of a dotted name, with its group where the word alone says too little."""
    parts = name.split(".")
    if len(parts) == 2 and parts[0] == "augment":
        return parts[1]
    return ".".join(parts[-2:]) if parts[-1] in ("kind", "start", "end", "shift", "p") else parts[-1]
