"""Sites as rows, and rows as a table, JSON or CSV."""

from __future__ import annotations

import csv
import json
import sys
import warnings
from dataclasses import dataclass
from typing import Any

from vitvis.backbones import KINDS, Backbone, check_files, load_backbone, parse_units
from vitvis.errors import VitvisError, nearest
from vitvis.sites.settings import SitesSettings

__all__ = ["SiteList", "list_sites", "print_sites", "rows_of"]

COLUMNS = ("site", "kind", "depth", "width", "heads", "layout", "tokens", "prefix", "grid")


@dataclass(frozen=True)
class SiteList:
    """The sites of a model.

    Attributes:
        model: Its name.
        image_size: Height and width of its images, px.
        rows: One a site, shallow first: `COLUMNS`, and `units` where addresses were asked for.
    """

    model: str
    image_size: tuple[int, int]
    rows: list[dict[str, Any]]


def list_sites(settings: SitesSettings) -> SiteList:
    """Load a model and list its sites.

    Raises:
        VitvisError: no such model, kind, site or unit.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*weights=none")  # a list does not depend on them
        check_files(settings.units)
        backbone = load_backbone(settings.model, settings.weights, settings.image_size)
    return SiteList(backbone.name, backbone.image_size, rows_of(backbone, settings))


def rows_of(backbone: Backbone, settings: SitesSettings) -> list[dict[str, Any]]:
    """One row a site, shallow first."""
    for kind in settings.kinds:
        if kind not in KINDS:
            raise VitvisError(f"kinds: no kind '{kind}'{nearest(kind, KINDS) or ';'} kinds are {', '.join(KINDS)}")
    sites = backbone.sites
    chosen = list(sites.values())
    if "module" in settings.kinds:
        chosen += sites.tappable_modules()
    counts: dict[str, int] = {}
    if settings.units:
        for unit in parse_units(settings.units, sites):
            counts[unit.site] = counts.get(unit.site, 0) + 1
        chosen = [sites.get_site(name) for name in counts]
    rows = []
    for site in chosen:
        if settings.kinds and site.kind not in settings.kinds:
            continue
        grid = f"{site.grid[0]}x{site.grid[1]}" if site.grid else ""
        values = (
            site.name,
            site.kind,
            site.depth,
            site.width,
            site.heads,
            site.layout,
            site.tokens,
            site.prefix_tokens,
        )
        row = dict(zip(COLUMNS, (*values, grid), strict=True))
        if settings.units:
            row["units"] = counts[site.name]
        rows.append(row)
    return rows


def print_sites(listed: SiteList, style: str) -> None:
    """Print a list as a table for people, or as JSON or CSV for programs."""
    rows, (height, width) = listed.rows, listed.image_size
    columns = list(rows[0]) if rows else list(COLUMNS)
    total = sum(row.get("units", row["width"]) for row in rows)
    if style == "json":
        found = {"model": listed.model, "image_size": [height, width], "units": total, "sites": rows}
        print(json.dumps(found, indent=1))
    elif style == "csv":
        writer = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    else:
        from rich.console import Console
        from rich.table import Table

        title = f"{listed.model} at {height} x {width} px"
        table = Table(title=title, title_justify="left", box=None, pad_edge=False)
        for column in columns:
            table.add_column(column, justify="left" if column in ("site", "kind", "layout") else "right", no_wrap=True)
        for row in rows:
            table.add_row(*("" if value is None else str(value) for value in row.values()))
        console = Console()
        needed = Console(width=1000).measure(table).maximum
        if needed > console.width:  # a pipe says 80 columns, and a name that is cut off can't be copied
            console = Console(width=needed)
        console.print(table)
        console.print(f"{len(rows)} sites, {total:,} units", highlight=False)
