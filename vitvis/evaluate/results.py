"""What a run found, as one dictionary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vitvis.data.source import Source
from vitvis.evaluate.charts import bar_chart, lowpass_chart, tokens_chart
from vitvis.evaluate.hits import make_hit_table
from vitvis.evaluate.module import Contender
from vitvis.evaluate.predictions import Predictions
from vitvis.evaluate.probes.tokens import NATURAL, SINGLE
from vitvis.evaluate.settings import EvaluateSettings
from vitvis.evaluate.statistics import accuracy_rows, box_size_rows, class_rows, difference_rows, gap_rows
from vitvis.evaluate.variants import VariantPlan

__all__ = ["make_charts", "make_results"]

BEST = "best token"


def make_results(
    settings: EvaluateSettings,
    source: Source,
    contenders: Sequence[Contender],
    predictions: dict[str, Predictions],
    plan: VariantPlan,
) -> dict[str, Any]:
    """Return what `results.json` holds: rows, differences, per_class, by_box_size, probes, and what it is about."""
    best = {}
    if settings.probe == "tokens":
        found = {name: with_best_token(item) for name, item in predictions.items()}
        predictions, best = {name: item for name, (item, _) in found.items()}, {n: at for n, (_, at) in found.items()}
    table = make_hit_table(predictions, source)
    draws: dict[str, Any] = dict(samples=settings.bootstrap, seed=settings.seed)
    rows = accuracy_rows(table, **draws)
    results: dict[str, Any] = {
        "about": _about(settings, source, contenders, predictions, plan),
        "rows": rows,
        "differences": difference_rows(table, **draws),
        "bg_gap": gap_rows(table, **draws),
        "per_class": class_rows(table, source.classes.names, **draws),
        "by_box_size": box_size_rows(table, (settings.box_sizes[0], settings.box_sizes[1]), **draws),
        "probes": {},
    }
    if settings.probe == "tokens":
        results["probes"]["tokens"] = {
            name: _tokens(item, best[name], [row for row in rows if row["model"] == name])
            for name, item in predictions.items()
        }
    if settings.probe == "lowpass":
        results["probes"]["lowpass"] = {"radii": sorted(settings.radii), "unit": "cycles per image"}
    return results


def make_charts(settings: EvaluateSettings, results: dict[str, Any]) -> bytes:
    """Return the picture of a run."""
    if settings.probe == "tokens":
        return tokens_chart(results["probes"]["tokens"])
    if settings.probe == "lowpass":
        return lowpass_chart(results["rows"], results["probes"]["lowpass"]["radii"])
    return bar_chart(results["rows"])


def with_best_token(item: Predictions) -> tuple[Predictions, int]:
    """Return predictions with a variant more, the position of the highest top-1, and that position.

    The position is chosen on the images it is measured on, as in the work: its accuracy is somewhat flattering.
    """
    tokens = (item.positions.shape[1] - 1) // 2
    first, five = item.positions[:, 1 : 1 + tokens], item.positions[:, 1 + tokens :]
    position = int(first.mean(axis=0).argmax())
    single = item.variant == item.variants.index(SINGLE)
    order = np.searchsorted(item.positions[:, 0], item.entry[single])  # positions are in order of entry
    number = len(item.variants)

    def join(values: np.ndarray, more: np.ndarray) -> np.ndarray:
        return np.concatenate([values, more.astype(values.dtype)])

    joined = Predictions(
        [*item.variants, BEST],
        join(item.entry, item.entry[single]),
        join(item.variant, np.full(int(single.sum()), number)),
        join(item.label, item.label[single]),
        join(item.prediction, item.prediction[single]),
        join(item.top1, first[order, position]),
        join(item.top5, five[order, position]),
        join(item.share, item.share[single]),
        item.positions,
        item.grid,
        item.skipped,
        item.counts,
    )
    return joined, position


def _tokens(item: Predictions, best: int, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    by_name = {row["variant"]: row for row in rows}
    tokens = (item.positions.shape[1] - 1) // 2
    means = 100 * item.positions[:, 1:].astype(np.float64).mean(axis=0)
    prefix = "isolated until "
    return {
        "natural": by_name[NATURAL],
        "token_mean": by_name[SINGLE],
        "token_best": {**by_name[BEST], "row": best // item.grid[1], "column": best % item.grid[1]},
        "isolated": [
            {"until": int(name.removeprefix(prefix)), **row} for name, row in by_name.items() if name.startswith(prefix)
        ],
        "map_top1": means[:tokens].reshape(item.grid).tolist(),
        "map_top5": means[tokens:].reshape(item.grid).tolist(),
    }


def _about(
    settings: EvaluateSettings,
    source: Source,
    contenders: Sequence[Contender],
    predictions: dict[str, Predictions],
    plan: VariantPlan,
) -> dict[str, Any]:
    first = predictions[contenders[0].name]
    return {
        "data": settings.data,
        "split": source.split or settings.split,
        "probe": settings.probe,
        "images": max(len(np.unique(item.entry)) for item in predictions.values()),
        "classes": len(source.classes.names),
        "skipped": len(first.skipped),
        "counts": first.counts,
        "fills": list(plan.fills),
        "mean_colour": list(plan.mean) if "mean" in plan.fills else None,
        "box_sizes": list(settings.box_sizes),
        "bootstrap": settings.bootstrap,
        "models": [
            {
                "name": contender.name,
                "weights": contender.backbone.weights,
                "weights_id": contender.backbone.weights_id,
                "rows": contender.backbone.image_size[0],
                "columns": contender.backbone.image_size[1],
                "transform": {key: str(value) for key, value in contender.backbone.eval_settings.items()},
            }
            for contender in contenders
        ],
    }
