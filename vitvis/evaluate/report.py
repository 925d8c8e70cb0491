"""Results as Markdown, CSV and a table in the terminal."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["clean", "plus_minus", "to_markdown", "to_terminal"]

Row = dict[str, Any]
_LABELS = {
    "top1": "top-1",
    "top5": "top-5",
    "normalized_top1": "norm. top-1",
    "normalized_top5": "norm. top-5",
    "bg_gap": "BG-gap",
}


def clean(value: Any) -> Any:
    """Return a value with NaN as None, so that the JSON is one that every reader takes."""
    if isinstance(value, dict):
        return {key: clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def cell(row: Row, metric: str, *, signed: bool = False, short: bool = False) -> str:
    """Return a number with its interval: `61.24 [60.28, 62.21]`, in short `61.2 ±1.0` (the wider side)."""
    value, low, high = (row.get(key) for key in (metric, f"{metric}_low", f"{metric}_high"))
    if value is None or not math.isfinite(value):
        return "-"
    sign = "+" if signed else ""
    if short:
        wider = "" if low is None or not math.isfinite(low) else f"{max(high - value, value - low):.1f}"
        spread = f" {plus_minus()}{wider}" if wider else ""
        return f"{value:{sign}.1f}{spread}"
    text = f"{value:{sign}.2f}"
    return text if low is None or not math.isfinite(low) else f"{text} [{low:{sign}.2f}, {high:{sign}.2f}]"


def plus_minus() -> str:
    """Return the sign, or what stands for it where the terminal has no such letter."""
    try:
        "±".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return "+-"
    return "±"


def _metrics(rows: Sequence[Row]) -> list[str]:
    return [metric for metric in _LABELS if any(row.get(metric) is not None for row in rows)]


def _table(
    rows: Sequence[Row], keys: Sequence[str], *, signed: bool = False, short: bool = False
) -> tuple[list[str], list[list[str]]]:
    keys = [key for key in keys if any(row.get(key) is not None for row in rows)]
    metrics = _metrics(rows)
    header = [*keys, *(_LABELS[metric] for metric in metrics)]
    body = [
        [_word(row.get(key)) for key in keys] + [cell(row, metric, signed=signed, short=short) for metric in metrics]
        for row in rows
    ]
    return header, body


def _word(value: Any) -> str:
    return "-" if value is None else str(value)


def _markdown_table(header: list[str], body: list[list[str]], numbers: int) -> list[str]:
    rule = ["---"] * (len(header) - numbers) + ["---:"] * numbers
    return ["| " + " | ".join(line) + " |" for line in [header, rule, *body]]


def to_markdown(results: dict[str, Any]) -> str:
    """Return the tables of a run as Markdown."""
    lines = ["# Evaluation", "", *_about(results), ""]
    for title, key, keys, signed in _SECTIONS:
        rows = results.get(key) or []
        if rows:
            header, body = _table(rows, keys, signed=signed)
            lines += [f"## {title}", "", *_markdown_table(header, body, len(_metrics(rows))), ""]
    lines += ["Brackets hold 95 % intervals: paired bootstrap over images. Normalised is 100 * masked / full.", ""]
    return "\n".join(lines)


_SECTIONS = (
    ("Accuracy (%)", "rows", ("model", "variant", "fill", "n"), False),
    ("Differences between models (points)", "differences", ("model", "minus", "variant", "fill"), True),
    ("BG-gap: mixed_same less mixed_rand (points)", "bg_gap", ("model",), True),
    (
        "By size of the object (share of the image's area)",
        "by_box_size",
        ("size", "model", "variant", "fill", "n"),
        False,
    ),
)


def _about(results: dict[str, Any]) -> list[str]:
    about = results["about"]
    lines = [f"- data: `{about['data']}`, split `{about['split']}`: {about['images']} images measured"]
    if about["skipped"]:
        lines.append(f"- skipped: {about['skipped']} images (`skipped.csv` names them)")
    lines += [f"- {name}: {count}" for name, count in about["counts"].items() if count]
    if about.get("mean_colour"):
        lines.append("- mean colour: " + ", ".join(f"{value:.3f}" for value in about["mean_colour"]))
    lines += [
        f"- {item['name']}: weights `{item['weights_id']}`, {item['rows']}x{item['columns']} px"
        for item in about["models"]
    ]
    return lines


def to_terminal(results: dict[str, Any]) -> list[Table]:
    """Return the main tables for a terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    tables = []
    for title, key, keys, signed in _SECTIONS[:3]:
        rows = results.get(key) or []
        if not rows:
            continue
        header, body = _table(rows, keys, signed=signed, short=True)
        numbers = len(_metrics(rows))
        table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
        for index, name in enumerate(header):
            table.add_column(name, justify="right" if index >= len(header) - numbers else "left")
        for line in body:
            table.add_row(*line)
        tables.append(table)
    return tables
