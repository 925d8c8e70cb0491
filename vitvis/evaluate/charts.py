"""Bars with intervals, curves, and maps: one PNG a run."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "bar_chart", "encode_png", "lowpass_chart", "new_figure", "place_legend", "tokens_chart"]

Row = dict[str, Any]
#: Colours that stay apart for colour-blind readers (Okabe & Ito), the first two for transformer and CNN.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C8C8C", "#F0E442")
_INK, _GREY = "#222222", "#D9D9D9"


def bar_chart(rows: Sequence[Row]) -> bytes:
    """Draw top-1 and top-5 of every variant as bars, a colour for each model; whiskers are the 95 % intervals."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    groups = list(dict.fromkeys((row["variant"], row.get("fill")) for row in rows))
    width = max(6.4, 0.5 * len(groups) * (len(models) + 1) + 1.6)
    figure, axes = new_figure(1, 2, (min(2 * width, 24), 4.4), sharey=True)
    for axis, metric, title in zip(axes[0], ("top1", "top5"), ("Top-1", "Top-5"), strict=True):
        step = 0.82 / len(models)
        for number, model in enumerate(models):
            found = {(row["variant"], row.get("fill")): row for row in rows if row["model"] == model}
            places = [place for place, group in enumerate(groups) if group in found]
            values = np.array([found[groups[place]][metric] for place in places])
            bounds = [[found[groups[place]][f"{metric}_{end}"] for place in places] for end in ("low", "high")]
            x = np.array(places) + (number - (len(models) - 1) / 2) * step
            errors = np.clip([values - bounds[0], np.asarray(bounds[1]) - values], 0, None)
            axis.bar(x, values, step * 0.92, color=COLOURS[number % len(COLOURS)], label=model, zorder=2)
            axis.errorbar(x, values, errors, fmt="none", ecolor=_INK, elinewidth=1, capsize=2.5, zorder=3)
            if len(groups) * len(models) <= 24:
                for place, value, top in zip(x, values, bounds[1], strict=True):
                    axis.annotate(
                        f"{value:.1f}",
                        (place, max(top, value)),
                        (0, 2),
                        textcoords="offset points",
                        ha="center",
                        va="bottom",
                        fontsize=8,
                        color=_INK,
                    )
        labels = [variant if fill is None else f"{variant}\n({fill})" for variant, fill in groups]
        axis.set_xticks(range(len(groups)), labels)
        axis.set_title(title, loc="left", fontweight="bold")
    axes[0][0].set_ylabel("accuracy (%)")
    axes[0][0].set_ylim(0, 108)
    axes[0][0].set_yticks(range(0, 101, 20))
    place_legend(figure, axes[0][0], len(models))
    return encode_png(figure)


def lowpass_chart(rows: Sequence[Row], radii: Sequence[float]) -> bytes:
    """Draw accuracy against the cut-off, and accuracy as a share of that on the unfiltered image."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    figure, axes = new_figure(1, 2, (11, 4.4))
    names = {f"radius {radius:g}": radius for radius in radii}
    for number, model in enumerate(models):
        mine = sorted(
            (row for row in rows if row["model"] == model and row["variant"] in names),
            key=lambda row: names[row["variant"]],
        )
        x = [names[row["variant"]] for row in mine]
        full = next(row for row in rows if row["model"] == model and row["variant"] == "full")
        for axis, metric in zip(axes[0], ("top1", "normalized_top1"), strict=True):
            colour = COLOURS[number % len(COLOURS)]
            axis.fill_between(
                x,
                [row[f"{metric}_low"] for row in mine],
                [row[f"{metric}_high"] for row in mine],
                color=colour,
                alpha=0.18,
                linewidth=0,
            )
            axis.plot(x, [row[metric] for row in mine], "o-", color=colour, markersize=4, label=model, linewidth=2)
        axes[0][0].axhline(full["top1"], color=COLOURS[number % len(COLOURS)], linestyle=":", linewidth=1.2)
    for axis, title in zip(axes[0], ("Top-1 (%), dotted: unfiltered", "Top-1, share of unfiltered (%)"), strict=True):
        axis.set_xscale("log", base=2)
        shown = [radius for radius in names.values() if radius > 0]
        axis.set_xticks(shown, [f"{radius:g}" for radius in shown])
        if shown:  # said outright: a model that knows no photo has no share to take limits from
            axis.set_xlim(min(shown) / 1.15, max(shown) * 1.15)
        axis.set_xlabel("cut-off (cycles per image)")
        axis.set_title(title, loc="left", fontweight="bold")
        axis.set_ylim(bottom=0)
    place_legend(figure, axes[0][0], len(models))
    return encode_png(figure)


def tokens_chart(probes: dict[str, Any]) -> bytes:
    """Draw, for each model, accuracy by the block CLS is isolated until, and a map of single tokens' accuracy."""
    models = list(probes)
    figure, axes = new_figure(len(models), 2, (10, 4.2 * len(models)))
    for (curve, picture), model in zip(axes, models, strict=True):
        item = probes[model]
        isolated = item["isolated"]
        curve.axhline(item["token_mean"]["top1"], color=COLOURS[1], linestyle="--", label="single token, mean")
        curve.axhline(item["token_best"]["top1"], color=COLOURS[2], linestyle="--", label="single token, best")
        if isolated:
            rows = [{"until": 0, **item["natural"]}, *isolated]
            x = [row["until"] for row in rows]
            curve.fill_between(
                x,
                [row["top1_low"] for row in rows],
                [row["top1_high"] for row in rows],
                color=COLOURS[0],
                alpha=0.18,
                linewidth=0,
            )
            curve.plot(x, [row["top1"] for row in rows], "o-", color=COLOURS[0], label="CLS, isolated until block l")
            curve.set_xticks(x)
        curve.set_xlabel("l (0: the model as it is)")
        curve.set_ylabel("top-1 (%)")
        curve.set_ylim(bottom=0)
        curve.set_title(model, loc="left", fontweight="bold")
        curve.legend(frameon=False, fontsize=9, loc="lower center", bbox_to_anchor=(0.5, -0.32), ncols=2)
        image = picture.imshow(np.asarray(item["map_top1"]), cmap="viridis")
        picture.set_title("Top-1 (%) of each patch token alone", loc="left", fontweight="bold")
        picture.grid(False)
        picture.spines["bottom"].set_visible(False)
        picture.set_xticks([])
        picture.set_yticks([])
        figure.colorbar(image, ax=picture, fraction=0.046, pad=0.03)
    return encode_png(figure)


def new_figure(rows: int, columns: int, size: tuple[float, float], **kwargs: Any) -> tuple[Figure, np.ndarray]:
    """Return a figure that needs no display and leaves pyplot's state alone."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=150, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, **kwargs)
    for axis in axes.flat:
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.spines["bottom"].set_color(_INK)
        axis.grid(axis="y", color=_GREY, linewidth=0.8, zorder=0)
        axis.set_axisbelow(True)
        axis.tick_params(length=0, colors=_INK)
    return figure, axes


def place_legend(figure: Figure, axis: Axes, entries: int) -> None:
    """Put the legend of an axis below the figure."""
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(entries, 5), frameon=False)


def encode_png(figure: Figure) -> bytes:
    """Return a figure as PNG bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
