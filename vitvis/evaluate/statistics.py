"""From hits to the tables: accuracies, intervals, differences, classes, sizes. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from vitvis.evaluate.bootstrap import interval, resampled_means
from vitvis.evaluate.hits import METRICS, HitTable

__all__ = ["accuracy_rows", "box_size_rows", "class_rows", "difference_rows", "gap_rows", "split_variant"]

Row = dict[str, Any]
SIZES = ("small", "medium", "large")


def split_variant(name: str) -> tuple[str, str | None]:
    """Return variant and fill of a name: `foreground/black` is `("foreground", "black")`."""
    variant, slash, fill = name.partition("/")
    return (variant, fill) if slash else (name, None)


def accuracy_rows(table: HitTable, *, samples: int = 2000, seed: int = 0) -> list[Row]:
    """Return a row for each model and variant.

    `top1` and `top5` are percent. `normalized_topK` is 100 * topK(variant) / topK(full), as the work defines it (for
    top-5; top-1 likewise), where there is a full image to divide by. `*_low` and `*_high` bound the 95 % interval of a
    paired bootstrap over images.
    """
    rows = []
    for model in table.models:
        base = _base(table, model)
        for name in table.variants[model]:
            variant, fill = split_variant(name)
            row: Row = {"model": model, "variant": variant, "fill": fill}
            row["n"] = int(np.sum(~np.isnan(table.hits[model, name, "top1"])))
            if not row["n"]:
                continue
            for metric in METRICS:
                keys = [(model, name, metric)] + ([(model, base, metric)] if base not in (None, name) else [])
                hits = table.columns(keys)  # type: ignore[arg-type]
                means = resampled_means(hits, samples=samples, seed=seed)
                _put(row, metric, 100 * float(np.nanmean(hits[:, 0])), 100 * means[:, 0])
                if len(keys) == 2:
                    point = _ratio(np.nanmean(hits[:, 0]), np.nanmean(hits[:, 1]))
                    _put(row, f"normalized_{metric}", float(point), _ratio(means[:, 0], means[:, 1]))
            rows.append(row)
    return rows


def difference_rows(table: HitTable, *, samples: int = 2000, seed: int = 0) -> list[Row]:
    """Return, for each pair of models and each variant both have, the first's accuracy less the second's, in points."""
    rows = []
    for first, second in combinations(table.models, 2):
        for name in (name for name in table.variants[first] if name in table.variants[second]):
            variant, fill = split_variant(name)
            row: Row = {"model": first, "minus": second, "variant": variant, "fill": fill}
            for metric in METRICS:
                keys = [(first, name, metric), (second, name, metric)]
                bases = [_base(table, model) for model in (first, second)]
                normalized = None not in bases and bases[0] != name
                if normalized:
                    keys += [(first, bases[0], metric), (second, bases[1], metric)]  # type: ignore[list-item]
                hits = table.columns(keys)
                if not len(hits) or np.isnan(hits[:, :2]).all():
                    continue
                point, means = np.nanmean(hits, axis=0), resampled_means(hits, samples=samples, seed=seed)
                _put(row, metric, 100 * float(point[0] - point[1]), 100 * (means[:, 0] - means[:, 1]))
                if normalized:
                    _put(
                        row,
                        f"normalized_{metric}",
                        float(_ratio(point[0], point[2]) - _ratio(point[1], point[3])),
                        _ratio(means[:, 0], means[:, 2]) - _ratio(means[:, 1], means[:, 3]),
                    )
            rows.append(row)
    return rows


def gap_rows(table: HitTable, *, samples: int = 2000, seed: int = 0) -> list[Row]:
    """Return each model's BG-gap on ImageNet-9: accuracy on `mixed_same` less that on `mixed_rand`, in points."""
    rows = []
    for model in table.models:
        if {"mixed_same", "mixed_rand"} <= set(table.variants[model]):
            hits = table.columns([(model, "mixed_same", "top1"), (model, "mixed_rand", "top1")])
            if np.isnan(hits).all(axis=0).any():
                continue
            point, means = np.nanmean(hits, axis=0), resampled_means(hits, samples=samples, seed=seed)
            row: Row = {"model": model}
            _put(row, "bg_gap", 100 * float(point[0] - point[1]), 100 * (means[:, 0] - means[:, 1]))
            rows.append(row)
    return rows


def box_size_rows(
    table: HitTable, bounds: tuple[float, float] = (0.1, 0.4), *, samples: int = 2000, seed: int = 0
) -> list[Row]:
    """Return the rows of `accuracy_rows` for small, medium and large objects, by their share of the image's area.

    Args:
        table: Hits.
        bounds: Shares at which medium and large begin.
        samples: Draws of the bootstrap.
        seed: Its seed.
    """
    if np.isnan(table.share).all():
        return []
    rows = []
    kind = np.digitize(table.share, bounds)
    for number, size in enumerate(SIZES):
        part = table.only((kind == number) & ~np.isnan(table.share))
        rows += [{"size": size, **row} for row in accuracy_rows(part, samples=samples, seed=seed)]
    return rows


def class_rows(table: HitTable, names: Sequence[str], *, samples: int = 2000, seed: int = 0) -> list[Row]:
    """Return a row for each model, variant and class.

    The bootstrap of a mean of hits within one class is binomial, so it is drawn as such. Scores that are no hits (means
    over tokens) get no interval.
    """
    rows = []
    classes = np.unique(table.label)
    for model in table.models:
        for name in table.variants[model]:
            variant, fill = split_variant(name)
            made: list[Row] = [{"model": model, "variant": variant, "fill": fill} for _ in classes]
            for metric in METRICS:
                values = table.hits[model, name, metric]
                known = ~np.isnan(values)
                place = np.searchsorted(classes, table.label[known])
                count = np.bincount(place, minlength=len(classes))
                total = np.bincount(place, weights=values[known], minlength=len(classes))
                mean = np.divide(total, count, out=np.full(len(classes), np.nan), where=count > 0)
                whole = np.isin(values[known], (0, 1)).all()
                rate = np.nan_to_num(mean).clip(0, 1)
                low, high = _class_bounds(count, rate, samples, seed)
                for index, (label, row) in enumerate(zip(classes, made, strict=True)):
                    row |= {"class": int(label), "name": names[label] if label < len(names) else str(label)}
                    row |= {"n": int(count[index]), metric: 100 * float(mean[index])}
                    if whole and count[index]:
                        row |= {f"{metric}_low": 100 * float(low[index]), f"{metric}_high": 100 * float(high[index])}
            rows += [row for row in made if row["n"]]
    return rows


def _class_bounds(count: np.ndarray, rate: np.ndarray, samples: int, seed: int) -> np.ndarray:
    """Return the lower and upper ends `[2, classes]` of the intervals of shares; as many classes at a time as fit."""
    generator, step = np.random.default_rng(seed), max(1, 2**22 // samples)
    bounds = []
    for first in range(0, len(count), step):
        part = slice(first, first + step)
        drawn = generator.binomial(count[part], rate[part], (samples, len(count[part])))
        bounds.append(np.percentile(drawn / np.maximum(count[part], 1), [2.5, 97.5], axis=0))
    return np.concatenate(bounds, axis=1) if bounds else np.empty((2, 0))


def _base(table: HitTable, model: str) -> str | None:
    """Return the variant that accuracies are normalised by: the image as it is."""
    return next((name for name in ("full", "natural", "original") if name in table.variants[model]), None)


def _ratio(part: Any, whole: Any) -> Any:
    with np.errstate(invalid="ignore", divide="ignore"):
        return 100 * np.where(np.asarray(whole) > 0, np.asarray(part) / np.asarray(whole), np.nan)


def _put(row: Row, name: str, value: float, resampled: np.ndarray) -> None:
    row[name] = value
    row[f"{name}_low"], row[f"{name}_high"] = interval(resampled)
