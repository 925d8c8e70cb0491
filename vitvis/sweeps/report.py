"""The comparison of a sweep, or of any runs: sheet, table, chart, best setting, and a page that holds them."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitvis.gallery.comparison import Cell, Heading, comparison_sheet
from vitvis.runs import atomic_write, read_records
from vitvis.sweeps.charts import draw_chart, is_numeric, text_of
from vitvis.sweeps.shared import Key, Shared, unit_key
from vitvis.sweeps.spec import Metric
from vitvis.sweeps.trials import Trial, sort_trials
from vitvis.synthesis.summary import unit_score

__all__ = ["PARTS", "Comparison", "write_report"]

#: Columns of the table, in this order where a run has them.
PARTS = ("strength", "selectivity", "clearness", "relative_activation", "activation", "activation_peak", "rank",
         "hf_share", "tv", "dead_share", "failed_share", "units")  # fmt: skip
_RECIPE = ("steps", "copies", "image", "augment", "regularize", "objective", "optim")


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
    """

    name: str
    trials: Sequence[Trial]
    metric: Metric
    description: str = ""
    best: Mapping[str, float] | None = None
    columns: int = 16
    rows: int = 32
    shared: Shared | None = None

    @property
    def ranked(self) -> list[Trial]:
        """The trials from best to worst."""
        return sort_trials(self.trials, self.metric)

    @property
    def winner(self) -> Trial | None:
        """The best trial, or None while none has a value."""
        ranked = self.ranked
        return ranked[0] if ranked and ranked[0].value is not None else None


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
    if sheet := _sheet(comparison):
        files["sheet.png"] = sheet
    if chart := draw_chart(comparison.trials, comparison.metric):
        files["chart.png"] = chart
    if comparison.winner is not None and (recipe := best_recipe(comparison)):
        files["best.yaml"] = recipe.encode()
    files["index.html"] = _page(folder, comparison, rows, files).encode()
    for name, data in files.items():
        atomic_write(folder / name, data)
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
        config = yaml.safe_load((Path(winner.path) / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return None
    recipe = {key: config[key] for key in _RECIPE if key in config}
    settings = ", ".join(f"{name}={text_of(value)}" for name, value in winner.settings.items())
    head = (
        f"# The best of {sum(trial.value is not None for trial in comparison.trials)} settings of "
        f"'{comparison.name}' by {comparison.metric.name} ({winner.value:.4g}).\n# Trial {winner.name}: {settings}\n"
        "# python -m vitvis.fit --config THIS_FILE units=...\n"
    )
    return head + yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True)


def sheet_order(trials: Sequence[Trial], metric: Metric, limit: int) -> list[Trial]:
    """Return the trials on the sheet: the best `limit`, in order of the value where one number is varied."""
    chosen = [trial for trial in sort_trials(trials, metric) if trial.path is not None][:limit]
    names = list(chosen[0].settings) if chosen else []
    if len(names) == 1 and is_numeric([trial.settings[names[0]] for trial in chosen]):
        return sorted(chosen, key=lambda trial: trial.settings[names[0]])
    return chosen


def _sheet(comparison: Comparison) -> bytes | None:
    shown = sheet_order(comparison.trials, comparison.metric, comparison.columns)
    records = {trial.name: _records_by_unit(trial) for trial in shown}
    units: dict[Key, dict[str, Any]] = {}
    wanted = comparison.shared.keys if comparison.shared is not None and comparison.shared.runs > 1 else None
    for by_unit in records.values():
        for key, record in by_unit.items():
            if not wanted or key in wanted:
                units.setdefault(key, record)
    keys = sorted(
        units, key=lambda key: (units[key].get("depth") or 0, units[key].get("site", ""), *_order(units[key]))
    )
    if not keys:
        return None
    if len(keys) > comparison.rows:  # spread over depth, not the first ones
        keys = [keys[round(i * (len(keys) - 1) / max(1, comparison.rows - 1))] for i in range(comparison.rows)]
    several_seeds = len({seed for _, seed in keys}) > 1
    columns = [
        Heading(
            tuple(f"{_short(name)}={text_of(value)}" for name, value in trial.settings.items()) or (trial.name,),
            "–" if trial.value is None else f"{trial.value:.3f}",
            best=trial is comparison.winner,
        )
        for trial in shown
    ]
    rows = [Heading((address, *((f"seed {seed}",) if several_seeds else ()))) for address, seed in keys]
    cells = {
        (r, c): _cell(trial, records[trial.name][key], comparison.best)
        for r, key in enumerate(keys)
        for c, trial in enumerate(shown)
        if key in records[trial.name]
    }
    hidden = len([trial for trial in comparison.trials if trial.path is not None]) - len(shown)
    title = f"{comparison.name}: {comparison.metric.name}" + (
        f" (best {len(shown)}, {hidden} more)" if hidden > 0 else ""
    )
    buffer = io.BytesIO()
    comparison_sheet(columns, rows, cells, title=title).save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def _records_by_unit(trial: Trial) -> dict[Key, dict[str, Any]]:
    return {unit_key(record): record for record in (read_records(trial.path) if trial.path else [])}


def _cell(trial: Trial, record: Mapping[str, Any], best: Mapping[str, float] | None) -> Cell:
    image = Path(trial.path or "") / record["image"] if record.get("image") else None
    score = unit_score(record, (best or {}).get(record["address"]))
    rank = f" · rank {record['rank']}" if record.get("rank") else ""
    return Cell(image, f"{score:.2f}{rank}", record.get("status", "ok"))


def _order(record: Mapping[str, Any]) -> tuple[int, int]:
    return record.get("unit") or 0, record.get("seed") or 0


def _short(name: str) -> str:
    """Return the last word of a dotted name, with its group where the word alone says too little."""
    parts = name.split(".")
    return ".".join(parts[-2:]) if parts[-1] in ("kind", "start", "end", "shift", "p") else parts[-1]


def _parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    from vitvis.runs.records import encode_records

    columns = {name: [row[name] for row in rows] for name in (rows[0] if rows else {})}
    texts = {name for name, values in columns.items() if not is_numeric([v for v in values if v is not None])}
    return encode_records(
        [
            {name: _plain(value, name in texts) for name, value in row.items()} for row in rows
        ]
    )  # fmt: skip


def _plain(value: Any, is_text: bool) -> Any:
    if value is None:
        return None
    return text_of(value) if is_text else float(value)


def _csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]) if rows else ["trial"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode()


def _page(folder: Path, comparison: Comparison, rows: Sequence[Mapping[str, Any]], files: Mapping[str, bytes]) -> str:
    from importlib.resources import files as package_files

    from jinja2 import Environment

    template = (package_files("vitvis.sweeps") / "page.html.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["value"] = lambda value: "–" if value is None else text_of(value)
    winner = comparison.winner
    failed = [trial for trial in comparison.trials if trial.state == "failed"]
    shown = [name for name in (rows[0] if rows else {}) if name != "error"]
    return environment.from_string(template).render(
        comparison=comparison,
        winner=winner,
        winner_settings=", ".join(f"{k} = {text_of(v)}" for k, v in winner.settings.items()) if winner else "",
        columns=shown,
        rows=rows,
        failed=failed,
        files=set(files),
        recipe=files["best.yaml"].decode() if "best.yaml" in files else "",
        config=(folder / "best.yaml").as_posix(),
    )
