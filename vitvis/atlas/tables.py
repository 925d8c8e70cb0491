"""The columns of a site: of its units, and of its pictures. A site page sorts and filters them without opening more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vitvis.atlas.concepts import concept_columns
from vitvis.atlas.details import number
from vitvis.atlas.judgements import JUDGED
from vitvis.atlas.model import Picture, Site
from vitvis.atlas.overview import record_selectivity
from vitvis.atlas.sprites import Sheets

__all__ = ["site_table"]

_NUMBERS = ("activation", "activation_start", "activation_peak", "rank", "hf_share", "tv", "steps", "seconds", *JUDGED)


def site_table(site: Site, sheets: Sheets, veil: Callable[[Any], Any]) -> dict[str, Any]:
    """Return the columns of a site.

    Args:
        site: The site.
        sheets: What drawing its sprites found out.
        veil: Hides what must not leave the machine.
    """
    pictures = site.pictures
    columns: dict[str, list[Any]] = {
        "unit": [picture.unit for picture in pictures],
        "run": [picture.run.number for picture in pictures],
        "seed": [picture.record.get("seed") for picture in pictures],
        "status": [_status(picture) for picture in pictures],
        "selectivity": [number(record_selectivity(picture.record), 4) for picture in pictures],
        "judges": [str(picture.record.get("judges") or "") for picture in pictures],
        "message": [veil(str(picture.record.get("message") or "")) for picture in pictures],
    }
    for name in _NUMBERS:
        columns[name] = [number(picture.record.get(name)) for picture in pictures]
    return {
        "keys": site.keys,
        "index": site.indices,
        "addresses": [veil(address) for address in site.addresses],
        "strongest": [_strongest(site, unit) for unit in range(len(site.keys))],
        "fire": [_fire_share(site, unit) for unit in range(len(site.keys))],
        "searched": bool(site.searches),
        **concept_columns(site),
        **columns,
        "colour": sheets.colours,
        "size": sheets.sizes,
        "alpha": sheets.alpha,
        "sheets": len(sheets.files),
        "mosaic": sheets.mosaic_size,
        "file": [None] * len(pictures),
        "strip": [None] * len(pictures),
    }


def _status(picture: Picture) -> str:
    return str(picture.record.get("status") or "ok") if picture.record else "photo"


def _strongest(site: Site, unit: int) -> float | int | None:
    for _, records in site.searches:
        if unit in records and records[unit].get("strongest_activation"):
            return number(records[unit]["strongest_activation"][0])
    return None


def _fire_share(site: Site, unit: int) -> float | int | None:
    """Return on which share of the tokens a latent is on; None of other units."""
    return next((number(records[unit].get("fire_share")) for _, records in site.searches if unit in records), None)
