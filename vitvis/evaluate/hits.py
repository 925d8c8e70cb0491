"""Predictions side by side: one row for each thing that is compared, one column for each measurement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vitvis.data.source import Source
from vitvis.evaluate.predictions import Predictions

__all__ = ["METRICS", "HitTable", "make_hit_table"]

METRICS = ("top1", "top5")


@dataclass
class HitTable:
    """Hits of all models on all variants.

    Attributes:
        hits: By `(model, variant, metric)`: float `[pairs]`, NaN where there was no such image.
        label: Class of each pair, `[pairs]`.
        share: The object's share of the area, `[pairs]`; NaN where unknown.
        models: Names, in the order they were given.
        variants: By model: names, in the order of the table.
    """

    hits: dict[tuple[str, str, str], np.ndarray]
    label: np.ndarray
    share: np.ndarray
    models: list[str]
    variants: dict[str, list[str]]

    def columns(self, keys: Sequence[tuple[str, str, str]]) -> np.ndarray:
        """Return the named measurements as `[pairs, len(keys)]`, without the pairs that have none of them."""
        table = np.stack([self.hits[key] for key in keys], axis=1)
        return table[~np.isnan(table).all(axis=1)]

    def only(self, chosen: np.ndarray) -> HitTable:
        """Return the table of some pairs, chosen by bool `[pairs]`."""
        hits = {key: values[chosen] for key, values in self.hits.items()}
        return HitTable(hits, self.label[chosen], self.share[chosen], self.models, self.variants)


def make_hit_table(predictions: dict[str, Predictions], source: Source) -> HitTable:
    """Lay predictions side by side.

    Images of the same `pair` share a row. Where several images of one variant do (a foreground on many backgrounds),
    each further one gets a row of its own, so that no image is lost.
    """
    photos = np.unique(np.concatenate([item.entry for item in predictions.values()] or [np.empty(0, np.int64)]))
    numbers = _pair_numbers(source, photos)
    used = np.unique(numbers)
    hits: dict[tuple[str, str, str], np.ndarray] = {}
    label = np.full(len(used), -1)
    share = np.full(len(used), np.nan)
    for model, item in predictions.items():
        rows = np.searchsorted(used, numbers[np.searchsorted(photos, item.entry)])
        label[rows] = item.label
        known = ~np.isnan(item.share)
        share[rows[known]] = item.share[known]
        for index, variant in enumerate(item.variants):
            chosen = item.variant == index
            for metric, values in zip(METRICS, (item.top1, item.top5), strict=True):
                column = np.full(len(used), np.nan)
                column[rows[chosen]] = values[chosen]
                hits[model, variant, metric] = column
    variants = {model: item.variants for model, item in predictions.items()}
    return HitTable(hits, label, share, list(predictions), variants)


def _pair_numbers(source: Source, photos: np.ndarray) -> np.ndarray:
    """Return the row of each photo `[photos]`."""
    seen: dict[tuple[str | None, str], int] = {}
    rows: dict[tuple[str, int], int] = {}
    numbers = np.empty(len(photos), dtype=np.int64)
    for place, index in enumerate(photos):
        entry = source.entry(int(index))
        pair = entry.pair or f"{index}"
        repeat = seen.get((entry.variant, pair), 0)
        seen[entry.variant, pair] = repeat + 1
        numbers[place] = rows.setdefault((pair, repeat), len(rows))
    return numbers
