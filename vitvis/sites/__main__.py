"""List the sites of a model: `python -m vitvis.sites model=NAME`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vitvis.config.core import parse
from vitvis.errors import VitvisError, nearest, run_main
from vitvis.sites.settings import SitesSettings

if TYPE_CHECKING:
    from vitvis.backbones import Backbone

__all__ = ["main"]

DESCRIPTION = "List what can be looked at inside a model: each site's kind, width, layout, tokens and depth."
EXAMPLES = (
    "python -m vitvis.sites model=vit_base_patch16_224",
    "python -m vitvis.sites model=swin_tiny_patch4_window7_224 kinds=mlp,q",
    "python -m vitvis.sites model=resnet50 kinds=module format=json",
    "python -m vitvis.sites model=deit_tiny_patch16_224 units='blocks.{0,5,11}.mlp:~8'",
)
COLUMNS = ("site", "kind", "depth", "width", "heads", "layout", "tokens", "prefix", "grid")


def rows_of(backbone: Backbone, settings: SitesSettings) -> list[dict[str, Any]]:
    """One row a site, shallow first."""
    from vitvis.backbones import KINDS, parse_units

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


def print_rows(rows: list[dict[str, Any]], backbone: Backbone, style: str) -> None:
    """Print rows as a table for people, or as JSON or CSV for programs."""
    columns = list(rows[0]) if rows else list(COLUMNS)
    total = sum(row.get("units", row["width"]) for row in rows)
    if style == "json":
        import json

        size = list(backbone.image_size)
        print(json.dumps({"model": backbone.name, "image_size": size, "units": total, "sites": rows}, indent=1))
    elif style == "csv":
        import csv
        import sys

        writer = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    else:
        from rich.console import Console
        from rich.table import Table

        rows_px, columns_px = backbone.image_size
        table = Table(
            title=f"{backbone.name} at {rows_px} x {columns_px} px", title_justify="left", box=None, pad_edge=False
        )
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


def main(argv: list[str]) -> int:
    """Parse, load, print."""
    settings = parse(SitesSettings, argv, prog="vitvis.sites", description=DESCRIPTION, examples=EXAMPLES)
    import warnings

    from vitvis.backbones import load_backbone

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*weights=none")  # a list does not depend on them
        backbone = load_backbone(settings.model, settings.weights, settings.image_size)
    print_rows(rows_of(backbone, settings), backbone, settings.format)
    return 0


if __name__ == "__main__":
    raise SystemExit(run_main(main))
