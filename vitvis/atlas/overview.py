"""What the index shows of a backbone: a strip of layers, curves over depth for each recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, median
from typing import Any

from vitvis.atlas import charts
from vitvis.atlas.model import Backbone, Run, Site
from vitvis.atlas.sprites import MOSAIC
from vitvis.runs.summary import selectivity

__all__ = ["choose", "depth_charts", "layers", "lead_kind", "record_selectivity", "runs_of"]

#: Order of rows in the strip: what shows features first.
KINDS = ("mlp", "mlp_pre", "block", "latent", "attn", "v", "k", "q", "module", "head")

_Table = dict[str, dict[int, list[dict[str, Any]]]]  # records by depth, by kind


def record_selectivity(record: Mapping[str, Any]) -> float | None:
    """Return the selectivity of a fit record, 0..1, or None where it has no rank."""
    rank, width = record.get("rank"), record.get("site_width")
    return selectivity(rank, width) if rank and width else None


def choose(site: Site, count: int = MOSAIC) -> list[int]:
    """Return the tiles that stand for a site: the most selective of its images, in order of index.

    Photos stand for a site that has no image.
    """

    def order(place: int) -> tuple[bool, float, int]:
        record = site.pictures[place].record
        return record.get("status", "ok") != "ok", -(record_selectivity(record) or 0.0), place

    usable = [place for place in range(len(site.keys)) if site.pictures[place].path is not None]
    usable = [place for place in usable if site.pictures[place].record] or usable
    return sorted(sorted(usable, key=order)[:count])


def lead_kind(backbone: Backbone) -> str:
    """Return the kind whose row comes first in the strip and is shown larger than the others."""
    return min((site.kind for site in backbone.sites), key=_kind_order)


def layers(backbone: Backbone) -> tuple[list[int], list[tuple[str, list[Site | None]]]]:
    """Return depths, and rows `(kind, one site or None a depth)`; a second site of a kind and depth has its own row."""
    depths = sorted({site.depth for site in backbone.sites})
    rows: list[tuple[str, list[Site | None]]] = []
    for kind in sorted({site.kind for site in backbone.sites}, key=_kind_order):
        own = [site for site in backbone.sites if site.kind == kind]
        cells = {depth: [site for site in own if site.depth == depth] for depth in depths}
        for layer in range(max(len(found) for found in cells.values())):
            rows.append((kind, [found[layer] if layer < len(found) else None for found in cells.values()]))
    return depths, rows


def depth_charts(backbone: Backbone) -> list[dict[str, Any]]:
    """Return the charts over depth of a backbone's fits, a group for each recipe: images of two do not mix.

    Each group is `{"runs": [...], "recipe", "charts": [{"title", "note", "svg", "kinds"}]}`, in order of the runs; a
    recipe that reaches fewer than three depths has none.
    """
    groups: dict[tuple[str, str], tuple[dict[str, Run], _Table]] = {}
    for site in backbone.sites:
        for picture in site.pictures:
            if picture.record:
                runs, table = groups.setdefault(_recipe(picture.run), ({}, {}))
                runs[picture.run.id] = picture.run
                table.setdefault(site.kind, {}).setdefault(site.depth, []).append(picture.record)
    found = []
    for (recipe, _), (runs, table) in groups.items():
        if len({depth for depths in table.values() for depth in depths}) > 2:
            ordered = sorted(runs.values(), key=lambda run: run.number)
            found.append({"runs": ordered, "recipe": recipe, "charts": _charts(table)})
    return sorted(found, key=lambda group: group["runs"][0].number)


def _charts(table: _Table) -> list[dict[str, Any]]:
    wanted: list[tuple[str, str, Any, tuple[float, float] | None, str]] = [
        ("Activation", "median over units, clean image", lambda row: _ok(row, row.get("activation")), None, ""),
        ("Selectivity", "mean; 1: no other unit of the site fires more", record_selectivity, (0, 1), ""),
        ("Judge", "mean verdict of another model: 0 by chance, 1 at best", lambda row: row.get("judge"), None, ""),
        (
            "High frequencies",
            "mean share of energy above half of Nyquist",
            lambda row: _ok(row, row.get("hf_share")),
            (0, 1),
            "%",
        ),
        ("Dead or failed", "share of units", lambda row: float(row.get("status") != "ok"), (0, 1), "%"),
    ]
    found = []
    for title, note, read, limits, unit in wanted:
        average = median if title == "Activation" else fmean
        series: dict[str, dict[float, float]] = {}
        for kind in sorted(table, key=_kind_order):
            for depth, records in table[kind].items():
                values = [value for value in map(read, records) if value is not None and value == value]
                if values:
                    series.setdefault(kind, {})[depth] = average(values)
        if series:
            if title == "Dead or failed":
                top = max(value for points in series.values() for value in points.values())
                limits = (0.0, min(1.0, max(0.05, top * 1.15)))
            svg = charts.lines(title, series, limits=limits, unit=unit)
            found.append({"title": title, "note": note, "svg": svg, "kinds": list(series)})
    return found


def _recipe(run: Run) -> tuple[str, str]:
    """Return what two runs have to share for their numbers to be of one kind: the recipe and the size of the image."""
    return str(run.manifest.get("recipe_hash") or ""), str((run.manifest.get("backbone") or {}).get("image_size"))


def _kind_order(kind: str) -> tuple[int, str]:
    return KINDS.index(kind) if kind in KINDS else KINDS.index("module"), kind


def _ok(record: Mapping[str, Any], value: Any) -> float | None:
    return float(value) if record.get("status") == "ok" and value is not None else None


def runs_of(backbone: Backbone, runs: Sequence[Run]) -> list[Run]:
    """Return the runs that show units of a backbone."""
    shown = {picture.run.id for site in backbone.sites for picture in site.pictures}
    shown |= {run.id for site in backbone.sites for run, _ in site.searches}
    return [run for run in runs if run.id in shown]
