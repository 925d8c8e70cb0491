"""What the evaluation page shows of one evaluate run: charts for its probe, tables of what was measured."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vitvis.atlas import charts
from vitvis.atlas.model import Run
from vitvis.errors import VitvisError, sentence
from vitvis.runs import read_json

__all__ = ["read_evaluation"]

#: Variants of the probes that lie on an axis: `radius 8`, `isolated until 3`.
_ON_AXIS = re.compile(r"(?:radius|isolated until) ([\d.]+)$")
_AXES = {"lowpass": "cut-off, cycles per image", "tokens": "CLS kept apart from the patches until block"}


def read_evaluation(run: Run, veil: Callable[[Any], Any]) -> dict[str, Any] | None:
    """Return tables and charts of an evaluate run; None when it has no results yet.

    Args:
        run: The run.
        veil: Hides what must not leave the machine.
    """
    path = run.table("results.json")
    if path is None:  # a run that is not done
        return None
    content = read_json(path)
    try:
        return _describe(run, veil(content)) if content.get("rows") else None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise VitvisError(f"{path}: is not what vitvis.evaluate writes ({sentence(error)})") from None


def _describe(run: Run, content: Mapping[str, Any]) -> dict[str, Any]:
    about = content.get("about") or {}
    rows = [row for row in content["rows"] if "model" in row and "variant" in row]
    return {
        "run": run,
        "about": about,
        "rows": rows,
        "charts": _charts(rows, about.get("probe") or "masks"),
        "differences": content.get("differences") or [],
        "sizes": _by_size(content.get("by_box_size") or []),
    }


def _charts(rows: Sequence[Mapping[str, Any]], probe: str) -> list[dict[str, Any]]:
    """Return charts of top-5 and top-1: curves where the probe has an axis, else bars."""
    found = []
    for metric in ("top5", "top1"):
        title = f"Top-{metric[-1]} accuracy, %"
        curves: dict[str, dict[float, float]] = {}
        bars: dict[str, dict[str, tuple[float, float | None, float | None]]] = {}
        for row in rows:
            if row.get(metric) is None:
                continue
            place = _ON_AXIS.match(row["variant"])
            if place:
                curves.setdefault(row["model"], {})[float(place[1])] = row[metric]
            else:
                name = row["variant"] + (f" · {row['fill']}" if row.get("fill") else "")
                bounds = (row.get(f"{metric}_low"), row.get(f"{metric}_high"))
                bars.setdefault(row["model"], {})[name] = (row[metric], *bounds)
        if curves:
            classes = {model: f"c{place % 6}" for place, model in enumerate(curves)}
            highest = max(value for points in curves.values() for value in points.values())
            drawn = charts.lines(
                title, curves, limits=(0, charts.percent_top(highest)), axis=_AXES.get(probe, ""), classes=classes
            )
            found.append({"title": title, "note": _AXES.get(probe, ""), "svg": drawn, "legend": classes})
        if bars:
            note = "without it; lines: 95 % interval" if curves else "lines: 95 % interval"
            drawn = charts.bars(f"Top-{metric[-1]} accuracy", bars)
            found.append({"title": title, "note": note, "svg": drawn, "legend": {}})
    return found


def _by_size(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return top-1 with a column for each size of the object: `{"sizes": {name: images}, "rows": [...]}`."""
    sizes: dict[str, int] = {}
    table: dict[tuple[Any, ...], dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        if row.get("top1") is not None:
            sizes[row["size"]] = max(sizes.get(row["size"], 0), row.get("n") or 0)
            table.setdefault((row["model"], row["variant"], row.get("fill")), {})[row["size"]] = row
    listed = [
        {"model": model, "variant": variant, "fill": fill, "cells": [cells.get(size) for size in sizes]}
        for (model, variant, fill), cells in table.items()
    ]
    return {"sizes": sizes, "rows": listed} if listed else None
