"""The page, and the data that every view of it begins with."""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitvis.atlas import overview
from vitvis.atlas.details import PER_PART, number
from vitvis.atlas.model import Backbone, Run, Site
from vitvis.atlas.output import Output, quoted
from vitvis.atlas.sprites import COLUMNS
from vitvis.config.values import flatten_values
from vitvis.runs.files import utf8

if TYPE_CHECKING:
    from vitvis.atlas.map.writing import Plan

__all__ = ["MARK", "atlas_data", "describe_run", "write_pages"]

#: The file that marks a folder as an atlas.
MARK = "data/atlas.js"
_STATIC = Path(__file__).parent / "static"
#: Parts of the script in the order in which they are joined; modules are blocked on `file://`.
_STYLES = ("atlas", "panel", "map")
_SCRIPTS = (
    "tools", "sprites", "site", "unit", "panel", "photos", "compare", "find", "viewport", "map", "lasso", "routes",
)  # fmt: skip


def describe_run(run: Run, veil: Callable[[Any], Any]) -> dict[str, Any]:
    """Return what the pages say about a run; `veil` hides what must not leave the machine."""
    manifest = veil(run.manifest)
    return {
        "name": run.name,
        "kind": run.kind,
        "sweep": run.sweep,
        "backbone": str((manifest.get("backbone") or {}).get("name") or ""),
        "recipe": str(manifest.get("recipe_hash") or ""),
        "differs": {name: _plain(value) for name, value in veil(run.differs).items()},
        "settings": {name: _plain(value) for name, value in flatten_values(manifest.get("recipe") or {}).items()},
        "command": str(manifest.get("command") or ""),
        "created": str(manifest.get("created") or ""),
        "vitvis": str(manifest.get("vitvis") or ""),
        "score": number(run.summary.get("score"), 3),
        "state": _state(run),
        "unfinished": run.found < run.planned or not run.found,
    }


def atlas_data(
    title: str,
    tile: int,
    runs: Sequence[dict[str, Any]],
    backbones: Sequence[Backbone],
    worded: Container[str],
    maps: Mapping[str, Plan],
) -> dict[str, Any]:
    """Return what `data/atlas.js` holds: runs, backbones and their sites, without units.

    Args:
        title: Title of the page.
        tile: Side of a sprite in px.
        runs: As `describe_run` has them.
        backbones: Those that have units to show.
        worded: Sites whose units have words.
        maps: Backbones that have a map.
    """
    return {
        "title": title,
        "tile": tile,
        "columns": COLUMNS,
        "part": PER_PART,
        "runs": list(runs),
        "backbones": [
            {
                "id": backbone.id,
                "name": backbone.name,
                "weights": backbone.weights,
                "weights_id": backbone.weights_id,
                "map": _describe_map(number, maps.get(backbone.id)),
                "sites": [_describe_site(site, site.id in worded) for site in backbone.sites],
            }
            for number, backbone in enumerate(backbones)
        ],
    }


def write_pages(
    out: Output,
    title: str,
    runs: Sequence[Run],
    described: Sequence[dict[str, Any]],
    backbones: Sequence[Backbone],
    evaluations: Sequence[dict[str, Any]],
    sheets: Mapping[str, tuple[int, int, int]],
    worded: Container[str],
    maps: Mapping[str, Plan],
) -> None:
    """Write `index.html`, and what it is made to look and act with.

    Args:
        out: Where to.
        title: Title of the page.
        runs: All runs.
        described: The same, as `describe_run` has them.
        backbones: Those that have units to show.
        evaluations: What `read_evaluation` returned.
        sheets: Number of sprite sheets, width and height of the mosaic, by site.
        worded: Sites whose units have words.
        maps: Of backbones that have one.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from vitvis import __version__

    environment = Environment(
        loader=PackageLoader("vitvis.atlas"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["quoted"] = quoted
    shown = [
        {
            "backbone": backbone,
            "layers": overview.layers(backbone),
            "groups": overview.depth_charts(backbone),
            "runs": overview.runs_of(backbone, runs),
            "units": sum(len(site.keys) for site in backbone.sites),
            "words": any(site.id in worded for site in backbone.sites),
            "map": maps.get(backbone.id),
            "photos": any(not picture.record for site in backbone.sites for picture in site.pictures),
        }
        for backbone in backbones
    ]
    page = environment.get_template("index.html").render(
        title=title, version=__version__, shown=shown, runs=described, evaluations=evaluations, sheets=sheets
    )
    out.write("index.html", utf8(page))
    out.write("assets/atlas.css", b"".join((_STATIC / f"{name}.css").read_bytes() for name in _STYLES))
    parts = [(_STATIC / "js" / f"{name}.js").read_text(encoding="utf-8") for name in _SCRIPTS]
    out.write("assets/atlas.js", ('"use strict";\n(() => {\n' + "\n".join(parts) + "})();\n").encode())


def _describe_map(number: int, plan: Plan | None) -> dict[str, int] | None:
    return None if plan is None else {"id": number, "rows": plan.rows, "columns": plan.columns}


def _describe_site(site: Site, words: bool) -> dict[str, Any]:
    return {
        "id": site.id,
        "name": site.name,
        "kind": site.kind,
        "depth": site.depth,
        "width": site.width,
        "units": len(site.keys),
        "words": words,
        "runs": sorted({picture.run.number for picture in site.pictures if picture.record}),
    }


def _state(run: Run) -> str:
    """Return how far a run is, in a few words."""
    if run.kind == "evaluate":
        return "results" if run.found else "no results yet"
    if run.kind == "sweep":
        return f"{run.found} trial{'' if run.found == 1 else 's'}"
    thing = "image" if run.kind == "fit" else "unit"
    if not run.found:
        return "no records yet"
    if run.found < run.planned:
        return f"{run.found} of {run.planned} {thing}s"
    return f"{run.found} {thing}{'' if run.found == 1 else 's'}"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
