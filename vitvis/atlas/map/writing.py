"""Write the map of a backbone: its pictures, and what the page needs to colour, name and open its units."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitvis.atlas.details import NEAREST
from vitvis.atlas.map import drawing, layout
from vitvis.atlas.map.features import Sight, chosen_photos, directions_of_units, nearest, principal
from vitvis.atlas.map.tiles import SIDE, Tiles
from vitvis.atlas.model import Backbone
from vitvis.atlas.output import Output

__all__ = ["Plan", "write_map"]

_ABSENT = 255

Near = list[tuple[str, int, float]]


@dataclass(frozen=True)
class Plan:
    """What became of a map.

    Attributes:
        rows: Of the grid.
        columns: Of the grid.
        image: File of the overview.
        width: Its width, px.
        height: Its height, px.
        near: Neighbours `(site, place of the unit, similarity)` of each unit by site; nearest first.
        neighbourhoods: Whether places come from PaCMAP; else from two principal components.
    """

    rows: int
    columns: int
    image: str
    width: int
    height: int
    near: dict[str, list[Near]] = field(repr=False)
    neighbourhoods: bool


def write_map(
    output: Output,
    number: int,
    backbone: Backbone,
    tables: Mapping[str, dict[str, Any]],
    tiles: Tiles,
    sight: Sight,
    pool: ThreadPoolExecutor,
    *,
    seed: int,
) -> Plan:
    """Lay the units of a backbone out and write pictures and data of its map.

    Args:
        output: Where to.
        number: Of the backbone; names the files.
        backbone: Whose units.
        tables: The columns of each site by its id.
        tiles: The tiles of all units, in the order of sites and places.
        sight: The eye whose space the map is.
        pool: Threads that encode pictures.
        seed: Of the layout.
    """
    rows = principal(directions_of_units(backbone, tiles, sight))
    points = layout.plane(rows, seed)
    height, width = layout.grid_shape(len(points))
    cells = layout.snap(points, height, width)
    image = drawing.draw_overview(tiles, cells, height, width)
    name = f"map/{number}.webp"
    output.write(name, drawing.to_webp(image, 80))
    side = drawing.overview_side(height, width)
    blocks = []
    if side < SIDE:
        for place in _batches(drawing.draw_blocks(tiles, cells, height, width), 16):
            encoded = pool.map(lambda item: (item[0], item[1], drawing.to_webp(item[2], 80)), place)
            for row, column, content in encoded:
                output.write(f"map/{number}-{row}-{column}.webp", content)
                blocks.append([row, column])
    units = [(site.id, unit) for site in backbone.sites for unit in range(len(site.keys))]
    places, values = nearest(rows, NEAREST)
    near: dict[str, list[Near]] = {site.id: [] for site in backbone.sites}
    for unit, (site_id, _) in enumerate(units):
        pairs = zip(places[unit], values[unit], strict=True)
        near[site_id].append([(*units[other], round(float(value), 3)) for other, value in pairs if np.isfinite(value)])
    data: dict[str, Any] = {
        "rows": height,
        "columns": width,
        "side": side,
        "block": drawing.BLOCK if blocks else 0,
        "blocks": blocks,
        "cells": cells.tolist(),
        "sites": [[site.id, len(site.keys)] for site in backbone.sites],
        "keys": [tables[site.id]["keys"] for site in backbone.sites],
        "addresses": [_odd_addresses(tables[site.id], site.name) for site in backbone.sites],
        "photos": [[int(photo[0][1:]), photo[1]] if photo else 0 for photo in chosen_photos(backbone)],
        "colours": _colours(backbone, tables),
        "neighbourhoods": layout.has_neighbourhoods() and len(points) >= layout.ENOUGH,
        "eye": sight.eye.backbone.name,
    }
    output.write_script(f"data/map-{number}.js", f"map-{number}", data)
    return Plan(height, width, name, image.width, image.height, near, bool(data["neighbourhoods"]))


def _batches(items: Any, size: int) -> Any:
    batch = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _odd_addresses(table: Mapping[str, Any], site: str) -> dict[int, str]:
    """Return the addresses that are not simply `SITE:KEY`, by place."""
    pairs = zip(table["keys"], table["addresses"], strict=True)
    return {place: address for place, (key, address) in enumerate(pairs) if address != f"{site}:{key}"}


def _colours(backbone: Backbone, tables: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return by name a byte for each unit, and what the bytes stand for; what no unit has is left out."""
    sites = [(site, len(site.keys)) for site in backbone.sites]
    kinds = list(dict.fromkeys(site.kind for site, _ in sites))
    depths = sorted({site.depth for site, _ in sites})
    found: dict[str, Any] = {}
    if len(depths) > 1:
        own = [depths.index(site.depth) for site, count in sites for _ in range(count)]
        found["depth"] = {"classes": depths, "bytes": _bytes(own)}
    if len(kinds) > 1:
        own = [kinds.index(site.kind) for site, count in sites for _ in range(count)]
        found["kind"] = {"classes": kinds, "bytes": _bytes(own)}
    columns: dict[str, list[float | None]] = {
        name: [tables[site.id][name][unit] for site, count in sites for unit in range(count)]
        for name in ("selectivity", "judge", "hf_share", "concept")
    }
    columns["frequency"] = [_frequency(site, unit) for site, count in sites for unit in range(count)]
    for name, values in columns.items():
        known = [value for value in values if value is not None]
        if known and min(known) < max(known):
            low, high = (float(np.percentile(known, share)) for share in (2, 98))
            if not low < high:
                low, high = min(known), max(known)
            scaled = [
                _ABSENT if value is None else int(round(254 * min(1.0, max(0.0, (value - low) / (high - low)))))
                for value in values
            ]
            found[name] = {"low": float(f"{low:.3g}"), "high": float(f"{high:.3g}"), "bytes": _bytes(scaled)}
    return found


def _frequency(site: Any, unit: int) -> float | None:
    """Return the share of photos in which a unit fires, by the first search that knows it."""
    shares = (records[unit].get("positive_share") for _, records in site.searches if unit in records)
    return next((share for share in shares if share is not None), None)


def _bytes(values: Sequence[int] | NDArray[np.integer]) -> str:
    return base64.b64encode(np.asarray(values, np.uint8).tobytes()).decode()
