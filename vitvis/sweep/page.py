"""The page of a comparison: opens from the disk, refers to the pictures where they lie."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Mapping, Sequence
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from vitvis.sweep.charts import label_of, text_of
from vitvis.sweep.comparison import Comparison
from vitvis.sweep.grid import Grid

__all__ = ["draw_page"]


def draw_page(
    folder: Path,
    comparison: Comparison,
    rows: Sequence[Mapping[str, Any]],
    grid: Grid,
    files: Mapping[str, bytes],
) -> str:
    """Return the page as HTML.

    Args:
        folder: Where it will lie.
        comparison: What it is about.
        rows: The table, best first.
        grid: The pictures.
        files: What lies beside it.
    """
    from jinja2 import Environment

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["figure"] = _figure
    environment.filters["label"] = label_of
    template = (package_files("vitvis.sweep") / "page.html.j2").read_text(encoding="utf-8")
    winner = comparison.winner
    return environment.from_string(template).render(
        comparison=comparison,
        metric=comparison.metric,
        winner=winner,
        winner_settings=[f"{name} = {label_of(name, value)}" for name, value in winner.settings.items()]
        if winner
        else [],
        valued=sum(trial.value is not None for trial in comparison.trials),
        grid=grid,
        sources={place: _reference(cell.image, folder) for place, cell in grid.cells.items() if cell.image},
        columns=_columns(rows),
        settings=set(comparison.trials[0].settings) if comparison.trials else set(),
        rows=rows,
        failed=[trial for trial in comparison.trials if trial.state == "failed"],
        files=set(files),
        has_atlas=(folder / "atlas" / "index.html").is_file(),
        recipe=files["best.yaml"].decode() if "best.yaml" in files else "",
        config=(folder / "best.yaml").as_posix(),
    )


def _columns(rows: Sequence[Mapping[str, Any]]) -> Collection[str]:
    """Return the columns of the table: all but the error, which has its own place."""
    return [name for name in (rows[0] if rows else {}) if name != "error"]


def _figure(value: Any) -> str:
    """Return three digits of a number: what a person compares."""
    if isinstance(value, float) and not isinstance(value, bool) and math.isfinite(value):
        return f"{value:.3f}" if 0.001 <= abs(value) < 1 else f"{value:.4g}"
    return "–" if value is None else text_of(value)


def _reference(image: Path, folder: Path) -> str:
    return quote(Path(os.path.relpath(image, folder)).as_posix())
