"""Curves over depth with 95 % intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vitvis.evaluate.charts import COLOURS, encode_png, new_figure, place_legend
from vitvis.findings.intervals import Estimate

__all__ = ["Curve", "Panel", "curve_chart"]


@dataclass
class Curve:
    """One line: `x` and the estimate there; `colour` is a place in the palette, its place in the panel when None."""

    name: str
    x: list[float]
    y: list[Estimate]
    colour: int | None = None


@dataclass
class Panel:
    """One plot.

    Attributes:
        title: Says what is on the vertical axis.
        across: What is on the horizontal axis.
        curves: Lines.
        chance: Value that chance would give, drawn as a dotted line.
    """

    title: str
    across: str
    curves: list[Curve]
    chance: float | None = None


def curve_chart(panels: Sequence[Panel], columns: int = 2) -> bytes:
    """Draw panels with one legend; returns a PNG."""
    columns = min(columns, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure, axes = new_figure(rows, columns, (5.2 * columns, 3.5 * rows + 0.3))
    for axis, panel in zip(axes.flat, panels, strict=False):
        for place, curve in enumerate(panel.curves):
            colour = COLOURS[(place if curve.colour is None else curve.colour) % len(COLOURS)]
            values, low, high = ([getattr(point, name) for point in curve.y] for name in ("value", "low", "high"))
            axis.plot(curve.x, values, "o-", color=colour, label=curve.name, markersize=4, linewidth=1.8)
            axis.fill_between(curve.x, low, high, color=colour, alpha=0.18, linewidth=0)
        if panel.chance is not None:
            axis.axhline(panel.chance, color="#222222", linestyle=":", linewidth=1.2)
        axis.set_title(panel.title, loc="left", fontweight="bold", fontsize=10)
        axis.set_xlabel(panel.across)
        least = min((point.low for curve in panel.curves for point in curve.y if math.isfinite(point.low)), default=0.0)
        if least >= 0:
            axis.set_ylim(bottom=0)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    longest = max(range(len(panels)), key=lambda place: len(panels[place].curves))
    place_legend(figure, axes.flat[longest], len(panels[longest].curves))
    return encode_png(figure)
