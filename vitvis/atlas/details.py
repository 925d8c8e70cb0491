"""What a unit's own page needs beyond the tiles: photos, maps, histogram, neighbours."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from vitvis.atlas.model import Run, Site
from vitvis.atlas.neighbours import nearest_units
from vitvis.atlas.privacy import tidy
from vitvis.runs import site_folder
from vitvis.search.maps import open_maps

__all__ = ["PER_PART", "SearchDetails", "even_bars", "number"]

#: Units in one file of details.
PER_PART = 64
NEAREST = 10
_BARS = 48
_LABELS = 8  # bars of classes


class SearchDetails:
    """Search records of one site as plain data for the pages.

    Args:
        site: The site.
        exemplars: Strongest photos a unit; half as many of the weakest.
        paths: Whether the dataset's own names of photos are shown.
        near: Neighbours `(site, place of the unit, similarity)` of each unit on the map; None: those of the site that
            share most strongest photos, in the first search given.
    """

    def __init__(
        self, site: Site, *, exemplars: int, paths: bool, near: list[list[tuple[str, int, float]]] | None = None
    ) -> None:
        self.site = site
        self.exemplars = exemplars
        self.paths = paths
        self._images = {run.id: _read_images(run) for run, _ in site.searches}
        self._effects = {run.id: _read_effects(run, site) for run, _ in site.searches}
        self._maps = {run.id: _read_maps(run, site) for run, _ in site.searches}
        # rows of the maps follow the records of the search, which are in order of index, then of address in the run
        self._rows = {run.id: {unit: row for row, unit in enumerate(records)} for run, records in site.searches}
        self.near = near or []
        self.by = "photos" if near is None else "map"
        if near is None and site.searches:
            records = site.searches[0][1]
            strongest = [records.get(unit, {}).get("strongest_index") or [] for unit in range(len(site.keys))]
            shared = nearest_units(strongest, NEAREST)
            self.near = [[(site.id, other, float(count)) for other, count in found] for found in shared]

    def unit(self, unit: int) -> dict[str, Any]:
        """Return everything that searches know about one unit."""
        searches = [self._search(run, records[unit], unit) for run, records in self.site.searches if unit in records]
        return {"near": self.near[unit] if self.near else [], "by": self.by, "search": searches}

    def _search(self, run: Run, record: dict[str, Any], unit: int) -> dict[str, Any]:
        maps = self._maps[run.id]
        row = self._rows[run.id][unit]
        own = maps[row] if maps is not None and row < len(maps) else None
        scale = None
        if own is not None:
            from vitvis.draw.strips import scale_of

            own = own[: self.exemplars]
            scale = scale_of(own)
        strong = []
        for place, (index, value) in enumerate(_pairs(record, "strongest")[: self.exemplars]):
            photo = self._photo(run, index, value)
            if own is not None and scale is not None and place < len(own):
                photo["m"] = _encode(own[place], scale)
            strong.append(photo)
        weak = _pairs(record, "weakest")
        counts, edges = record.get("hist_counts") or [], record.get("hist_edges") or []
        return {
            "run": run.number,
            **{name: number(record.get(name)) for name in ("mean", "std", "positive_share", "fire_share", "count")},
            "inside": number(record.get("inside_mean")),
            "outside": number(record.get("outside_mean")),
            "hist": [even_bars(counts, edges), number(edges[0]), number(edges[-1])] if len(edges) > 1 else None,
            "grid": list(own.shape[1:]) if own is not None else None,
            "scale": [number(end) for end in scale] if scale is not None else None,
            "strong": strong,
            "labels": self._labels(run, record),
            "effect": self._effects[run.id].get(record["address"]),
            "weak": [self._photo(run, index, value) for index, value in weak[: (self.exemplars + 1) // 2]],
        }

    def _labels(self, run: Run, record: dict[str, Any]) -> list[Any] | None:
        """Return `[photos, [[label, count], ...]]` of the strongest photos, most first; None without labels."""
        if record.get("label_name"):
            counted = list(zip(record["label_name"], record["label_count"], strict=True))
            total = record["labelled"]
        else:  # a search from before labels were counted, or of a stream: of the photos it has kept
            rows = [self._images[run.id].get(int(index)) or {} for index in record.get("strongest_index") or []]
            counts = Counter(str(row["label_name"]) for row in rows if row.get("label_name"))
            counted, total = counts.most_common(_LABELS), len(rows)
        return [total, [[tidy(str(name)), count] for name, count in counted[:_LABELS]]] if counted else None

    def _photo(self, run: Run, index: int, value: float) -> dict[str, Any]:
        photo: dict[str, Any] = {"i": int(index), "a": number(value)}
        row = self._images[run.id].get(int(index)) or {}
        if row.get("label_name"):
            photo["l"] = tidy(str(row["label_name"]))
        if self.paths and row.get("key"):
            photo["k"] = str(row["key"])
        return photo


def _pairs(record: dict[str, Any], end: str) -> list[tuple[int, float]]:
    """Return index and activation of the images at one end of a unit's distribution."""
    return list(zip(record.get(f"{end}_index") or [], record.get(f"{end}_activation") or [], strict=False))


def number(value: Any, digits: int = 5) -> float | int | None:
    """Return a number that JSON can hold, with few digits; None for none, NaN and infinities."""
    if value is None or isinstance(value, bool):
        return None
    value = float(value)
    if value != value or value in (float("inf"), float("-inf")):
        return None
    short = float(f"{value:.{digits}g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short


def _encode(values: Any, scale: tuple[float, float]) -> str:
    """Return a map as base64 of one byte a patch, row by row, 255 at the upper end of the scale."""
    import numpy as np

    low, high = scale
    unit = np.nan_to_num((np.asarray(values, dtype=np.float32) - low) / (high - low)).clip(0, 1)
    return base64.b64encode((unit * 255 + 0.5).astype(np.uint8).tobytes()).decode()


def even_bars(counts: Sequence[int], edges: Sequence[float], bars: int = _BARS) -> list[float]:
    """Return a histogram over bars of one width, from one over bins of any.

    A search's bins are narrow around zero and wide far from it; drawn as they are, a wide one would look like a crowd.
    The images of a bin are spread evenly over it.

    Args:
        counts: Images by bin.
        edges: Their ends, one more than counts, ascending.
        bars: How many to return.
    """
    import numpy as np

    below = np.concatenate([[0], np.cumsum(counts)])
    ends = np.linspace(edges[0], edges[-1], bars + 1)
    return [round(float(share), 2) for share in np.diff(np.interp(ends, edges, below))]


def _read_images(run: Run) -> dict[int, dict[str, Any]]:
    import pyarrow.parquet as pq

    path = run.table("images.parquet")
    return {row["index"]: row for row in pq.ParquetFile(path).read().to_pylist()} if path is not None else {}


def _read_effects(run: Run, site: Site) -> dict[str, list[Any]]:
    """Return `[photos, [[class, drop of its logit], ...]]` of the units of a site that the search has silenced."""
    import pyarrow.parquet as pq

    path = run.table("ablation.parquet")
    if path is None:
        return {}
    rows = pq.read_table(path, filters=[("site", "==", site.name)]).to_pylist()

    def drops(row: Mapping[str, Any]) -> list[list[Any]]:
        found = zip(row["name"], row["drop"], strict=True)
        return [[tidy(str(name)), number(drop, 3)] for name, drop in list(found)[:_LABELS]]

    return {row["address"]: [row["photos"], drops(row)] for row in rows if row["name"]}


def _read_maps(run: Run, site: Site) -> Any:
    folder = site_folder(site.name)
    path = run.table(f"maps/{folder}.npz") or run.table(f"maps/{folder}.npy")
    return None if path is None else open_maps(path)
