"""Charts as inline SVG: plain text, coloured by the page's style sheet, there without JavaScript."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup, escape

__all__ = ["bars", "lines", "percent_top", "ticks"]

_W, _H = 340, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 10, 10, 26


def percent_top(highest: float) -> float:
    """Return where an axis of percentages ends that begins at 0: the next ten, at most 100."""
    return min(100, 10 * math.ceil(highest / 10)) or 100


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Return round numbers (1, 2, 2.5 or 5 times a power of ten apart) that lie within `low .. high`."""
    span = high - low
    if not span > 0:
        return [low]
    power = 10 ** math.floor(math.log10(span / count))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= span / count)
    first = math.ceil(low / step - 1e-9)
    return [round(step * place, 12) for place in range(first, math.floor(high / step + 1e-9) + 1)]


def lines(
    title: str,
    series: Mapping[str, Mapping[float, float]],
    *,
    limits: tuple[float, float] | None = None,
    unit: str = "",
    axis: str = "depth",
    classes: Mapping[str, str] | None = None,
) -> Markup:
    """Draw values over depth, a line for each kind; or over another axis.

    Args:
        title: Names the chart for those who can't see it.
        series: Value by depth, by kind.
        limits: Ends of the y axis; from the values when None. Values over three decades get a logarithmic axis.
        unit: `%` shows shares as percent.
        axis: What the x axis is.
        classes: Class of each line, which gives its colour; `k-KIND` when None.
    """
    values = [value for points in series.values() for value in points.values()]
    depths = sorted({depth for points in series.values() for depth in points})
    if not values:
        return Markup("")
    logarithmic = limits is None and min(values) > 0 and max(values) / min(values) > 50
    low, high = limits or (min(0.0, *values), max(values))
    if logarithmic:
        low, high = math.log10(min(values)), math.log10(max(values))
        marks = [float(power) for power in range(math.ceil(low), math.floor(high) + 1)]
    else:
        if not high > low:
            high = low + 1
        marks = ticks(low, high)

    def x(depth: float) -> float:
        share = (depth - depths[0]) / (depths[-1] - depths[0]) if len(depths) > 1 else 0.5
        return _LEFT + (_W - _LEFT - _RIGHT) * share

    def y(value: float) -> float:
        place = math.log10(value) if logarithmic else value
        return _H - _BOTTOM - (_H - _BOTTOM - _TOP) * (place - low) / (high - low)

    parts = []
    for mark in marks:
        at = y(10**mark if logarithmic else mark)
        label = f"{10**mark:g}" if logarithmic else f"{mark * 100:g}%" if unit == "%" else f"{mark:g}"
        parts.append(f'<line class="rule" x1="{_LEFT}" x2="{_W - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{at + 3.5:.1f}" text-anchor="end">{label}</text>')
    every = max(1, -(-len(depths) // 8))
    for depth in depths[::every]:
        parts.append(f'<text x="{x(depth):.1f}" y="{_H - 8}" text-anchor="middle">{depth:g}</text>')
    for kind, points in series.items():
        name, colour = escape(kind), escape((classes or {}).get(kind) or f"k-{kind}")
        ordered = sorted(points.items())
        path = " ".join(f"{x(depth):.1f},{y(value):.1f}" for depth, value in ordered)
        parts.append(f'<polyline class="line {colour}" points="{path}"/>')
        for depth, value in ordered:
            shown = f"{value:.1%}" if unit == "%" else f"{value:.4g}"
            tip = f"<title>{name}, {escape(axis)} {depth:g}: {shown}</title>"
            parts.append(f'<circle class="dot {colour}" cx="{x(depth):.1f}" cy="{y(value):.1f}" r="3">{tip}</circle>')
    spoken = "; ".join(f"{kind} {_span(points)}" for kind, points in series.items())
    return _svg(_W, _H, f"{title} over {axis}: {spoken}", parts)


def bars(title: str, groups: Mapping[str, Mapping[str, tuple[float, float | None, float | None]]]) -> Markup:
    """Draw percentages as horizontal bars, grouped.

    Args:
        title: Names the chart for those who can't see it.
        groups: `(value, low, high)` of the 95 % interval in percent, by bar, by group. Bars begin at 0 and share one
            scale; those whose names agree up to a ` · ` share a colour.
    """
    parts: list[str] = []
    at, left, right = 8, 126, 40
    width = 440
    highest = max((max(value, high or 0) for group in groups.values() for value, _, high in group.values()), default=0)
    scale = (width - left - right) / percent_top(highest)
    order = list(dict.fromkeys(bar.split(" · ")[0] for group in groups.values() for bar in group))
    for group, items in groups.items():
        parts.append(f'<text class="group" x="0" y="{at + 10}">{escape(group)}</text>')
        at += 18
        for bar, (value, low, high) in items.items():
            parts.append(f'<text x="{left - 8}" y="{at + 9.5}" text-anchor="end">{escape(bar)}</text>')
            length = max(0.5, value * scale)
            colour = order.index(bar.split(" · ")[0]) % 6
            parts.append(
                f'<rect class="bar-shape c{colour}" x="{left}" y="{at}" width="{length:.1f}" height="12" rx="2"/>'
            )
            if low is not None and high is not None:
                ends = f'x1="{left + low * scale:.1f}" x2="{left + high * scale:.1f}"'
                parts.append(f'<line class="whisker" {ends} y1="{at + 6}" y2="{at + 6}"/>')
            end = max(value, high or 0) * scale
            parts.append(f'<text class="value" x="{left + end + 6:.1f}" y="{at + 9.5}">{value:.1f}</text>')
            at += 17
        at += 8
    return _svg(width, at, title, parts)


def _span(points: Mapping[float, float]) -> str:
    ordered = [value for _, value in sorted(points.items())]
    return f"{ordered[0]:.3g} to {ordered[-1]:.3g}" if len(ordered) > 1 else f"{ordered[0]:.3g}"


def _svg(width: int, height: int, label: str, parts: Sequence[str]) -> Markup:
    head = f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}">'
    return Markup(head + "".join(parts) + "</svg>")
