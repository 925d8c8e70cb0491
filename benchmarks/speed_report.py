"""Table and plot of the speed benchmark."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean, geometric_mean
from typing import Any

COLORS = {"a": "#8a8a8a", "b": "#7fb3d5", "b16": "#2471a3", "c": "#f0b27a", "c16": "#ca6f1e"}


def summarize(cells: list[Any]) -> dict[str, dict[str, float]]:
    """Return, by arm: units/hour over all depths together, and its ratio to arm a (all together, and by depth)."""
    arms: dict[str, list[Any]] = {}
    for cell in cells:
        arms.setdefault(cell.arm, []).append(cell)
    summary = {}
    for arm, own in arms.items():
        row = {
            "units_an_hour": 3600 * len(own) / sum(cell.unit_seconds for cell in own),
            "memory_gib": max(cell.memory for cell in own),
        }
        if "a" in arms:
            before = {cell.depth: cell.unit_seconds for cell in arms["a"]}
            ratios = [before[cell.depth] / cell.unit_seconds for cell in own]
            row["ratio"] = sum(before.values()) / sum(cell.unit_seconds for cell in own)
            row["ratio_geometric"] = geometric_mean(ratios)
        if all(cell.activations for cell in own):
            row["activation"] = fmean(value for cell in own for value in cell.activations)
            row["rank"] = fmean(value for cell in own for value in cell.ranks)
            row["first"] = fmean(value == 1 for cell in own for value in cell.ranks)
        summary[arm] = row
    return summary


def table(cells: list[Any]) -> str:
    """Return both tables as Markdown."""
    before = {cell.depth: cell for cell in cells if cell.arm == "a"}
    lines = [
        "",
        "| arm | site | s a step and image | at once | units/hour | ratio to a | of matrix rate | GiB "
        "| mean activation | mean rank | steps to a's activation |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for cell in cells:
        ratio = f"{before[cell.depth].unit_seconds / cell.unit_seconds:.1f}" if cell.depth in before else "-"
        activation = f"{fmean(cell.activations):.2f}" if cell.activations else "-"
        rank = f"{fmean(cell.ranks):.1f}" if cell.ranks else "-"
        reached = ", ".join("never" if step is None else str(step) for step in cell.reached) or "-"
        lines.append(
            f"| {cell.arm} | {cell.site} | {cell.step / cell.images:.4f} | {cell.images} "
            f"| {3600 / cell.unit_seconds:.1f} | {ratio} | {cell.share:.0%} | {cell.memory:.2f} "
            f"| {activation} | {rank} | {reached} |"
        )
    lines += ["", "| arm | units/hour, all depths | ratio to a | geometric mean of the ratios | mean activation "
              "| mean rank | share at rank 1 |", "| --- | --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for arm, row in summarize(cells).items():
        cell = {key: f"{row[key]:.2f}" if key in row else "-" for key in
                ("ratio", "ratio_geometric", "activation", "rank", "first")}  # fmt: skip
        lines.append(
            f"| {arm} | {row['units_an_hour']:.1f} | {cell['ratio']} | {cell['ratio_geometric']} "
            f"| {cell['activation']} | {cell['rank']} | {cell['first']} |"
        )
    return "\n".join(lines)


def draw(result: dict[str, Any], path: Path) -> None:
    """Draw units/hour by depth and arm, on a logarithmic axis."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    sites = list(dict.fromkeys(cell["site"] for cell in result["cells"]))
    arms = list(result["arms"])
    width = 0.8 / len(arms)
    for i, arm in enumerate(arms):
        own = {cell["site"]: cell for cell in result["cells"] if cell["arm"] == arm}
        heights = [3600 / own[site]["unit_seconds"] for site in sites]
        places = [j + (i - (len(arms) - 1) / 2) * width for j in range(len(sites))]
        bars = axes.bar(places, heights, width * 0.94, color=COLORS[arm], label=f"{arm}: {result['arms'][arm]}")
        axes.bar_label(bars, [f"{height:,.0f}" if height >= 10 else f"{height:.1f}" for height in heights], fontsize=7)
    axes.set_yscale("log")
    axes.margins(y=0.15)
    axes.set_xticks(range(len(sites)), sites)
    axes.set_ylabel("units/hour")
    rows, columns = result["image_size"]
    axes.set_title(f"{result['model']}, {rows} x {columns} px, {result['machine']}", fontsize=10)
    axes.legend(fontsize=7, frameon=False, loc="upper right")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)
