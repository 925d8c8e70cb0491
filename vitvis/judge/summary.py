"""What is said about a run as a whole: means over its units, with intervals, and by site."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vitvis.evaluate.bootstrap import interval, resampled_means
from vitvis.judge.sturdiness import CHANGES

__all__ = ["MEASURES", "by_site", "means", "with_intervals"]

Row = Mapping[str, Any]

#: Columns whose means are told, in the order in which they are told.
MEASURES = (
    "judge",
    "choice",
    "choice_easy",
    "choice_hard",
    "choice_photos",
    "choice_other",
    "choice_noise",
    "top1",
    "top5",
    "class_probability",
    "spectrum",
    "seam",
    "clipped",
    "kept",
    *(f"kept_{name}" for name in CHANGES),
    "beats_photo",
    "indifferent",
    "agreement",
)


def _table(rows: Sequence[Row]) -> np.ndarray:
    """Return the measures of each unit, `[U, M]`: pictures of one unit are one thing to be drawn again."""
    units: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        units.setdefault(row["address"], []).append(place)
    values = np.asarray([[_float(row.get(name)) for name in MEASURES] for row in rows], np.float64)
    table = np.full((len(units), len(MEASURES)), np.nan)
    for place, own in enumerate(units.values()):
        part = values[own]
        known = np.isfinite(part)
        table[place] = np.where(known.any(0), np.where(known, part, 0).sum(0) / np.maximum(known.sum(0), 1), np.nan)
    return table


def means(rows: Sequence[Row]) -> dict[str, float]:
    """Return the mean over units of every measure that is known of any; a unit counts once, whatever its seeds."""
    if not rows:
        return {}
    table = _table(rows)
    known = np.isfinite(table).any(0)
    return {name: float(np.nanmean(table[:, place])) for place, name in enumerate(MEASURES) if known[place]}


def with_intervals(rows: Sequence[Row], *, samples: int = 2000, seed: int = 0) -> dict[str, tuple[float, float, float]]:
    """Return mean, low and high end of the 95 % interval of every measure: a bootstrap over units."""
    if not rows:
        return {}
    table = _table(rows)
    drawn = resampled_means(table, samples=samples, seed=seed)
    found = {}
    for place, name in enumerate(MEASURES):
        if np.isfinite(table[:, place]).any():
            low, high = interval(drawn[:, place])
            found[name] = (float(np.nanmean(table[:, place])), low, high)
    return found


def by_site(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return a row a site: what it is, its units, and the means of its measures."""
    sites: dict[str, list[Row]] = {}
    for row in rows:
        sites.setdefault(row["site"], []).append(row)
    return [
        {
            "site": site,
            "kind": own[0]["kind"],
            "depth": own[0]["depth"],
            "units": len({row["address"] for row in own}),
            **means(own),
        }
        for site, own in sites.items()
    ]


def _float(value: Any) -> float:
    return math.nan if value is None else float(value)
