"""The comparison of a sweep, or of any runs: sheet, table, chart, best setting, and a page that holds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vitvis.errors import VitvisError
from vitvis.fit.recipe import RECIPE
from vitvis.runs import Ledger, read_config, to_csv, write_file
from vitvis.runs.files import utf8
from vitvis.sweep.charts import draw_chart, is_numeric, label_of, text_of
from vitvis.sweep.comparison import Comparison
from vitvis.sweep.grid import build_grid, draw_grid
from vitvis.sweep.page import draw_page

__all__ = ["PARTS", "write_report"]

#: Columns of the table, in this order where a run has them.
PARTS = (
    "strength",
    "selectivity",
    "clearness",
    "contrast",
    "relative_activation",
    "activation",
    "activation_peak",
    "rank",
    "hf_share",
    "tv",
    "dead_share",
    "failed_share",
    "units",
)


def write_report(folder: Path, comparison: Comparison) -> list[Path]:
    """Write `trials.parquet`, `trials.csv`, `sheet.png`, `chart.png`, `best.yaml` and `index.html` into a folder.

    Args:
        folder: Where to; made when it isn't there.
        comparison: What to compare.

    Returns:
        The files that were written; those there is nothing to show for yet are left out.
    """
    rows = table_rows(comparison)
    files: dict[str, bytes] = {"trials.parquet": _parquet(rows), "trials.csv": _csv(rows)}
    grid = build_grid(
        comparison.trials,
        comparison.metric,
        best=comparison.best,
        shared=comparison.shared,
        columns=comparison.columns,
        rows=comparison.rows,
    )
    if grid.rows:
        files["sheet.png"] = draw_grid(grid, f"{comparison.name}: {comparison.metric.name}")
    if chart := draw_chart(comparison.trials, comparison.metric):
        files["chart.png"] = chart
    if comparison.winner is not None and (recipe := best_recipe(comparison)):
        files["best.yaml"] = utf8(recipe)
    files["index.html"] = utf8(draw_page(folder, comparison, rows, grid, files))
    for name, data in files.items():
        write_file(folder, name, data)
    Ledger(folder).settle()
    return [folder / name for name in files]


def table_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """Return one row a trial, best first: trial, its settings, the metric, every part in a column of its own."""
    parts = [part for part in PARTS if any(part in trial.summary for trial in comparison.trials)]
    return [
        {
            "trial": trial.name,
            **trial.settings,
            comparison.metric.name: trial.value,
            **{part: trial.summary.get(part) for part in parts},
            "seconds": trial.seconds,
            "state": trial.state,
            "error": trial.error,
        }
        for trial in comparison.ranked
    ]


def best_recipe(comparison: Comparison) -> str | None:
    """Return the recipe of the best trial as YAML that `--config` takes, with a comment on where it is from."""
    import yaml

    winner = comparison.winner
    if winner is None or winner.path is None:
        return None
    try:
        config = read_config(winner.path)
    except VitvisError:
        return None
    recipe = {key: config[key] for key in RECIPE if key in config}
    settings = ", ".join(f"{name}={label_of(name, value)}" for name, value in winner.settings.items())
    head = (
        f"# The best of {sum(trial.value is not None for trial in comparison.trials)} settings of "
        f"'{comparison.name}' by {comparison.metric.name} ({winner.value:.4g}).\n# Trial {winner.name}: {settings}\n"
        "# python -m vitvis.fit --config THIS_FILE units=...\n"
    )
    return head + yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True)


def _parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    from vitvis.runs.records import encode_records

    columns = {name: [row[name] for row in rows] for name in (rows[0] if rows else {})}
    texts = {name for name, values in columns.items() if not is_numeric([v for v in values if v is not None])}
    return encode_records([{name: _plain(value, name in texts) for name, value in row.items()} for row in rows])


def _plain(value: Any, is_text: bool) -> Any:
    if value is None:
        return None
    return text_of(value) if is_text else float(value)


def _csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    return utf8(to_csv(rows, list(rows[0]) if rows else ["trial"]))
