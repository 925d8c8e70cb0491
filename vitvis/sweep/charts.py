"""One chart of a sweep, chosen by how many settings it varies: curves, a heat map, or parallel coordinates."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from typing import Any

from vitvis.sweep.spec import Metric
from vitvis.sweep.trials import Trial

__all__ = ["draw_chart", "is_numeric", "label_of", "ordered_values", "text_of"]

_PARTS = {"strength": "#c2571a", "selectivity": "#2166ac", "clearness": "#5a9e2f", "contrast": "#8e5bb5"}


def draw_chart(trials: Sequence[Trial], metric: Metric) -> bytes | None:
    """Return a PNG, or None while there are fewer than two values.

    One varied setting: the metric over its values, with the parts of the summary. Two with a value in at least half
    of all pairs: a heat map. Else parallel coordinates, one line a trial, coloured by the metric.
    """
    import matplotlib

    matplotlib.use("Agg", force=False)
    from matplotlib.figure import Figure

    valued = [trial for trial in trials if trial.value is not None]
    names = list(valued[0].settings) if valued else []
    if len(valued) < 2 or not names:
        return None
    if len(names) == 1:
        figure = Figure(figsize=(7.2, 4.2), layout="constrained")
        _curves(figure, valued, names[0], metric)
    elif len(names) == 2 and _is_filled(valued, names):
        figure = Figure(layout="constrained")
        _heat_map(figure, valued, names, metric)
    else:
        figure = Figure(figsize=(max(7.0, 1.9 * (len(names) + 1)), 4.6), layout="constrained")
        _parallel(figure, valued, names, metric)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    return buffer.getvalue()


def text_of(value: Any) -> str:
    """Return a setting's value as short text: `0.001`, `null`, `fourier`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)


def label_of(name: str, value: Any) -> str:
    """Return the value of a setting for people: an entry of `augment` is `on` or `off`, all else as `text_of`."""
    if name.startswith("augment.") and (value is None or value is True):
        return "off" if value is None else "on"
    return text_of(value)


def is_numeric(values: Sequence[Any]) -> bool:
    """Say whether all values are numbers (true and false are none)."""
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def ordered_values(values: Sequence[Any]) -> list[Any]:
    """Return the different values: null first, numbers ascending, others in the order they come."""
    different: list[Any] = []
    for value in values:
        if value not in different or any(type(value) is not type(other) for other in different if other == value):
            different.append(value)
    rest = [value for value in different if value is not None]
    return [value for value in different if value is None] + (sorted(rest) if is_numeric(rest) else rest)


def _curves(figure: Any, trials: Sequence[Trial], name: str, metric: Metric) -> None:
    axes = figure.subplots()
    values = ordered_values([trial.settings[name] for trial in trials])
    positions, ticks = _positions(name, values)
    ordered = sorted(trials, key=lambda trial: positions[text_of(trial.settings[name])])
    x = [positions[text_of(trial.settings[name])] for trial in ordered]
    for part, colour in _PARTS.items():
        y = [trial.summary.get(part, math.nan) for trial in ordered]
        if not all(math.isnan(value) for value in y):
            axes.plot(x, y, "o--", color=colour, alpha=0.75, markersize=4, linewidth=1.2, label=part)
    axes.plot(x, [trial.value for trial in ordered], "o-", color="black", linewidth=2.2, label=metric.name)
    if ticks is None:
        axes.set_xscale("log" if _is_log(values) else "linear")
    else:
        axes.set_xticks(range(len(ticks)), ticks)
    if all(0 <= (trial.value or 0.0) <= 1 for trial in ordered):  # as the parts are
        axes.set_ylim(0, 1.03)
    axes.set_xlabel(name)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _heat_map(figure: Any, trials: Sequence[Trial], names: Sequence[str], metric: Metric) -> None:
    import numpy as np

    rows, columns = (ordered_values([trial.settings[name] for trial in trials]) for name in names)
    row_texts, column_texts = [text_of(value) for value in rows], [text_of(value) for value in columns]
    sums, counts = np.zeros((len(rows), len(columns))), np.zeros((len(rows), len(columns)))
    for trial in trials:
        place = (
            row_texts.index(text_of(trial.settings[names[0]])),
            column_texts.index(text_of(trial.settings[names[1]])),
        )
        sums[place] += trial.value or 0.0
        counts[place] += 1
    grid = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
    figure.set_size_inches(2.6 + 1.0 * len(columns), 1.8 + 0.7 * len(rows))
    axes = figure.subplots()
    image = axes.imshow(grid, cmap="viridis", aspect="auto")
    low, high = np.nanmin(grid), np.nanmax(grid)
    for (r, c), value in np.ndenumerate(grid):
        colour = "white" if value < (low + high) / 2 else "black"
        axes.text(c, r, "–" if np.isnan(value) else f"{value:.3f}", ha="center", va="center", color=colour)
    axes.set_xticks(range(len(columns)), [label_of(names[1], value) for value in columns])
    axes.set_yticks(range(len(rows)), [label_of(names[0], value) for value in rows])
    axes.set_xlabel(names[1])
    axes.set_ylabel(names[0])
    figure.colorbar(image, label=metric.name)


def _parallel(figure: Any, trials: Sequence[Trial], names: Sequence[str], metric: Metric) -> None:
    from matplotlib import colormaps

    axes = figure.subplots()
    scales = [_scale(name, [trial.settings[name] for trial in trials]) for name in names]
    values = [trial.value or 0.0 for trial in trials]
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    order = sorted(range(len(trials)), key=lambda i: values[i], reverse=metric.goal == "minimize")
    for rank, i in enumerate(order):  # the best is drawn last, on top
        place = (values[i] - low) / span
        good = place if metric.goal == "maximize" else 1 - place
        y = [
            positions[text_of(trials[i].settings[name])] + spread * (place - 0.5)
            for name, (positions, _, spread) in zip(names, scales, strict=True)
        ]
        last = rank == len(order) - 1
        axes.plot(
            range(len(names) + 1),
            [*y, place],
            color=colormaps["viridis"](good),
            linewidth=3 if last else 1.3,
            alpha=1.0 if last else 0.7,
        )
    for x, (_, ticks, _) in enumerate([*scales, ({}, [(0.0, f"{low:.3f}"), (1.0, f"{high:.3f}")], 0.0)]):
        axes.axvline(x, color="black", linewidth=0.8)
        for y_tick, text in ticks:
            axes.text(
                x + 0.03,
                y_tick,
                text,
                fontsize=8,
                va="center",
                bbox=dict(facecolor="white", edgecolor="none", alpha=0.75, pad=0.8),
            )
    axes.set_xticks(range(len(names) + 1), [*names, metric.name], fontsize=9)
    axes.set_yticks([])
    axes.set_xlim(-0.1, len(names) + 0.35)
    for side in ("left", "right", "top", "bottom"):
        axes.spines[side].set_visible(False)


def _scale(name: str, values: Sequence[Any]) -> tuple[dict[str, float], list[tuple[float, str]], float]:
    """Return the height 0..1 of each value by its text, the ticks of its axis, and how far lines fan out at a value.

    Lines of few values would lie on top of each other, so they pass each value in order of the metric.
    """
    different = ordered_values(values)
    if is_numeric(different) and len(different) > 6:
        to = math.log if _is_log(different) else float
        low, high = to(different[0]), to(different[-1])
        heights = {text_of(value): (to(value) - low) / ((high - low) or 1.0) for value in different}
        shown, spread = [different[round(i * (len(different) - 1) / 4)] for i in range(5)], 0.0
    else:
        spread = 0.55 / len(different)
        inner = 1 - spread  # so that the outermost fans stay on the axis
        heights = {
            text_of(v): spread / 2 + inner * (i / (len(different) - 1) if len(different) > 1 else 0.5)
            for i, v in enumerate(different)
        }
        shown = different
    return heights, [(heights[text_of(value)], label_of(name, value)) for value in shown], spread


def _positions(name: str, values: Sequence[Any]) -> tuple[dict[str, float], list[str] | None]:
    """Return the place of each value on an axis by its text, and tick labels when the axis is no scale of numbers."""
    if is_numeric(values) and not _needs_steps(values):
        return {text_of(value): float(value) for value in values}, None
    return {text_of(value): float(i) for i, value in enumerate(values)}, [label_of(name, value) for value in values]


def _needs_steps(values: Sequence[Any]) -> bool:
    """Say whether 0 stands beside values of many sizes, which no scale shows."""
    positive = [value for value in values if value > 0]
    return len(positive) < len(values) and len(positive) > 1 and max(positive) / min(positive) > 20


def _is_log(values: Sequence[Any]) -> bool:
    return min(values) > 0 and max(values) / min(values) > 20


def _is_filled(trials: Sequence[Trial], names: Sequence[str]) -> bool:
    pairs = {tuple(text_of(trial.settings[name]) for name in names) for trial in trials}
    sizes = [len({text_of(trial.settings[name]) for trial in trials}) for name in names]
    return len(pairs) >= 0.5 * sizes[0] * sizes[1] and max(sizes) <= 20
