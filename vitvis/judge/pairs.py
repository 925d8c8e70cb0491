"""From the record of a search to the photos that a unit is tested with."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from vitvis.judge.choice import Pairs
from vitvis.runs.files import utf8
from vitvis.search.reading import SearchRun

__all__ = [
    "REFERENCE_UNITS",
    "address_hash",
    "make_pairs",
    "middle_photos",
    "needed_photos",
    "reference_units",
    "search_record",
]

#: Units of a site whose photos tell what the site's units share.
REFERENCE_UNITS = 32


def search_record(run: SearchRun, address: str) -> Mapping[str, Any] | None:
    """Return what a search knows about a unit, minimised ones too; None where it has not watched it."""
    return run.by_address.get(address) or run.by_address.get(address.removeprefix("-"))


def needed_photos(record: Mapping[str, Any]) -> set[int]:
    """Return the dataset indices of all photos that a unit is tested with."""
    return {int(i) for name in ("strongest_index", "weakest_index", "decile_index") for i in record[name] or ()}


def middle_photos(run: SearchRun) -> list[int]:
    """Return the photos that a search drew by chance, of all units: a sample of its data, ascending."""
    return sorted({int(index) for record in run.records for index in record["decile_index"] or ()})


def reference_units(run: SearchRun, site: str, count: int = REFERENCE_UNITS) -> Sequence[Mapping[str, Any]]:
    """Return records of some units of a site, the same ones whatever is judged: those with the smallest hashes."""
    rows = run.sites.get(site, [])
    return sorted(rows, key=lambda row: address_hash(row["address"]))[:count]


def address_hash(address: str) -> bytes:
    """Return what units are drawn by: the same ones in every run, whatever else is asked for."""
    return hashlib.blake2b(utf8(address), digest_size=8).digest()


def make_pairs(
    record: Mapping[str, Any], rows: Mapping[int, int], *, minimised: bool = False, used: Collection[int] = ()
) -> Pairs:
    """Return the photos of a unit as rows of a table of features.

    Args:
        record: Its search record.
        rows: Row of each dataset index that has features.
        minimised: Whether the picture minimises the unit: its strong photos are then the record's weakest.
        used: Photos that the picture's recipe may have used; left out.
    """
    strong, weak = ("weakest", "strongest") if minimised else ("strongest", "weakest")
    sign = -1.0 if minimised else 1.0
    left_out = set(used)
    strong_rows, strong_values, _ = _kept(record, strong, rows, left_out)
    best = {int(index) for index in record[f"{strong}_index"] or ()}
    weak_rows, weak_values, _ = _kept(record, weak, rows, left_out | best)
    middle_rows, middle_values, places = _kept(record, "decile", rows, left_out | best)
    decile = np.asarray(record["decile"] or (), np.int64)[places]
    return Pairs(
        strong_rows,
        weak_rows,
        middle_rows,
        9 - decile if minimised else decile,
        sign * strong_values,
        sign * weak_values,
        sign * middle_values,
    )


def _kept(
    record: Mapping[str, Any], end: str, rows: Mapping[int, int], left_out: Collection[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows, activations and places of one list of a record's photos, without those that are left out."""
    indices: Sequence[int] = record[f"{end}_index"] or ()
    values = np.asarray(record[f"{end}_activation"] or (), np.float64)
    places = np.asarray(
        [place for place, index in enumerate(indices) if int(index) in rows and int(index) not in left_out], np.int64
    )
    found = np.asarray([rows[int(indices[place])] for place in places], np.int64)
    return found, values[places] if len(places) else np.zeros(0), places
