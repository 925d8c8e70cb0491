"""From edges to objects with depth, in the transformer as in the CNN."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from PIL import Image

from vitvis.findings.bench import ROLES, Bench
from vitvis.findings.charts import Curve, Panel, curve_chart
from vitvis.findings.finding import MEASURED, Finding, Table, sign_of, verdict_of
from vitvis.findings.intervals import difference, mean
from vitvis.findings.judging import certainties, choices
from vitvis.findings.looking import fields
from vitvis.findings.measures import bits_per_pixel, chance_of_same, frequencies_used, same_label
from vitvis.findings.sheets import depth_sheet, stacked, write_chart, write_picture

__all__ = ["measure"]

Record = dict[str, Any]
#: Measure: heading, digits, factor, and whether the statement is about it (the others are shown for what they are).
MEASURES = {
    "side": ("receptive field (px)", 1, 1.0, True),
    "bits": ("JPEG (bits a pixel)", 2, 1.0, True),
    "frequencies": ("spatial frequencies used (%)", 1, 100.0, True),
    "same": ("same class among the top photos (% of pairs)", 2, 100.0, True),
    "certainty": ("judge's surest class, of the image (%)", 1, 100.0, True),
    "choice": ("choice test (%; chance 50)", 1, 100.0, False),
}


def measure(bench: Bench) -> Finding:
    """Measure units of every block of both models, and compare the deepest third with the shallowest."""
    folder, finding = bench.folder("depth"), Finding("depth", MEASURED, "")
    table = Table(
        "Deepest third of the blocks less shallowest third",
        ["model", "measure", "shallowest third", "deepest third", "difference"],
        [],
    )
    curves: dict[str, list[Curve]] = {name: [] for name in MEASURES}
    sheets, signs, chance = [], [], 0.0
    for colour, role in enumerate(ROLES):
        records = bench.pictures(role)
        backbone = bench.backbone(role).name
        columns, chance = measured(bench, role, records)
        blocks = len(bench.sites(role))
        for name, (heading, digits, scale, counts) in MEASURES.items():
            by_depth = columns[name]
            points = [mean(by_depth[depth], **bench.draws) for depth in sorted(by_depth)]
            curves[name].append(
                Curve(
                    backbone,
                    [depth / max(1, blocks - 1) for depth in sorted(by_depth)],
                    [point.scaled(scale) for point in points],
                    colour,
                )
            )
            shallow, deep = thirds(by_depth)
            gap = difference(deep, shallow, **bench.draws)
            signs += [sign_of(gap.low, gap.high)] if counts else []
            ends = [mean(values, **bench.draws).text(digits, scale=scale) for values in (shallow, deep)]
            table.rows.append([backbone, heading, *ends, gap.text(digits, signed=True, scale=scale)])
            finding.numbers[f"{role}/{name}"] = {
                "by_depth": [vars(point) for point in points],
                "deep less shallow": vars(gap),
            }
        sheets.append(depth_sheet(records, title=f"{backbone}: first units of every block"))
    finding.numbers["chance of the same class"] = chance
    finding.found.append(
        f"Two photos drawn at random have the same class in {100 * chance:.2f} % of cases; the dotted line."
    )
    finding.tables.append(table)
    finding.pictures.append(write_picture(stacked(sheets), folder / "sheet.jpg"))
    by_chance = {"same": 100 * chance, "choice": 50.0}
    panels = [
        Panel(heading, "depth (0: first block, 1: last)", curves[name], by_chance.get(name))
        for name, (heading, *_) in MEASURES.items()
        if any(curve.x for curve in curves[name])
    ]
    finding.pictures.append(write_chart(curve_chart(panels), folder / "chart.png"))
    finding.verdict = verdict_of(signs, "five measures, deepest and shallowest third, two models")
    return finding


def measured(bench: Bench, role: str, records: Sequence[Record]) -> tuple[dict[str, dict[int, list[float]]], float]:
    """Return every measure by name and depth, one number a unit, and the chance of two photos having the same class."""
    run = bench.search(role)
    columns: dict[str, dict[int, list[float]]] = {name: {} for name in MEASURES}
    looked, chosen = fields(bench, role, records), choices(bench, role, records)
    judged = {
        "certainty": certainties(bench, role, records),
        "choice": {address: row["choice"] for address, row in chosen.items() if row["choice"] is not None},
    }
    for record in records:
        depth = record["depth"]
        if record["address"] in looked:
            columns["side"].setdefault(depth, []).append(looked[record["address"]]["side"])
        for name, values in judged.items():
            if record["status"] == "ok" and record["address"] in values:
                columns[name].setdefault(depth, []).append(values[record["address"]])
        if record["status"] == "ok":
            with Image.open(record["file"]) as picture:
                columns["bits"].setdefault(depth, []).append(bits_per_pixel(picture))
                columns["frequencies"].setdefault(depth, []).append(frequencies_used(picture))
    for site in bench.sites(role):
        for found in run.sites[site.name]:
            labels = [run.images[index]["label"] for index in found["strongest_index"]]
            columns["same"].setdefault(site.depth, []).append(same_label(labels))
    counts = Counter(bench.source.labels[: bench.source.length].tolist())
    return columns, chance_of_same(list(counts.values()))


def thirds(by_depth: dict[int, list[float]]) -> tuple[list[float], list[float]]:
    """Return the measurements of the shallowest and of the deepest third of the blocks (of one block at least)."""
    depths = sorted(by_depth)
    count = max(1, len(depths) // 3)
    return (
        [value for depth in depths[:count] for value in by_depth[depth]],
        [value for depth in depths[-count:] for value in by_depth[depth]],
    )
