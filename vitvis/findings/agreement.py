"""Optimised image, best photo and patch map of a neuron agree; maps are local until the last block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vitvis.findings.bench import ROLES, Bench
from vitvis.findings.charts import Curve, Panel, curve_chart
from vitvis.findings.finding import MEASURED, Finding, Table, sign_of, verdict_of
from vitvis.findings.intervals import Estimate, difference, mean
from vitvis.findings.judging import choices
from vitvis.findings.looking import covered_patches, fields, moved_maps, on_grid
from vitvis.findings.measures import pointing, spread
from vitvis.findings.sheets import write_chart, write_picture

__all__ = ["measure"]

Record = dict[str, Any]
ByDepth = dict[int, list[float]]
PANELS = {
    "spread": "Patches that carry a map (%)",
    "follow": "Map moves with the picture (correlation)",
    "near": "Gradient within 3 x 3 patches (%)",
    "object": "Map on the object, less the object's area (points)",
}


def measure(bench: Bench) -> Finding:
    """Compare the three pictures of every unit in numbers, and maps over depth."""
    folder, finding = bench.folder("agreement"), Finding("agreement", MEASURED, "")
    table = Table("All units", ["", *(bench.backbone(role).name for role in ROLES)], [])
    rows: dict[str, list[str]] = {}
    curves: dict[str, list[Curve]] = {name: [] for name in PANELS}
    signs: list[int] = []
    for colour, role in enumerate(ROLES):
        records = [record for record in bench.pictures(role) if record["status"] != "failed"]
        blocks = len(bench.sites(role))
        columns = maps_over_depth(bench, role, records)
        chosen = choices(bench, role, records).values()
        tests = whole(bench, role, records, columns, [row["choice"] for row in chosen])
        for name, (estimate, zero, form) in tests.items():
            rows.setdefault(name, []).append(estimate.text(**form))
            finding.numbers[f"{role}/{name}"] = vars(estimate)
            if role == "model":
                signs.append(sign_of(estimate.low, estimate.high, zero))
        by_photos = mean([row["choice_photos"] for row in chosen if row["choice_photos"] is not None], **bench.draws)
        if by_photos.n:
            finding.found.append(
                f"{bench.backbone(role).name}: the units' own best photos, in the place of the optimised images, tell "
                f"{by_photos.text(1, scale=100)} % of the same pairs."
            )
        for name in PANELS:
            by_depth = columns[name]
            points = [mean(by_depth[depth], **bench.draws) for depth in sorted(by_depth)]
            x = [depth / max(1, blocks - 1) for depth in sorted(by_depth)]
            finding.numbers[f"{role}/{name} by depth"] = [vars(point) for point in points]
            if points:
                curves[name].append(Curve(bench.backbone(role).name, x, points, colour))
    table.rows = [[name, *cells] for name, cells in rows.items()]
    finding.tables.append(table)
    finding.pictures.append(_strips(bench, folder))
    panels = [
        Panel(title, "depth (0: first block, 1: last)", curves[name], 0.0 if name == "object" else None)
        for name, title in PANELS.items()
        if curves[name]
    ]
    finding.pictures.append(write_chart(curve_chart(panels), folder / "chart.png"))
    finding.verdict = verdict_of(signs, "those of the table, on the transformer")
    return finding


def maps_over_depth(bench: Bench, role: str, records: Sequence[Record]) -> dict[str, ByDepth]:
    """Return what maps and gradients of units are like, by measure and depth, one number a unit; shares in percent."""
    run = bench.search(role)
    columns: dict[str, ByDepth] = {name: {} for name in (*PANELS, "shuffled")}
    looked, moved = fields(bench, role, records), moved_maps(bench, role, records)
    wanted = [index for record in records for index in run.record(record["address"])["strongest_index"]]
    masks = covered_patches(bench, role, wanted)
    for record in records:
        address, depth = record["address"], record["depth"]
        maps = run.unit_maps(address)
        if address not in looked or maps is None:
            continue
        maps = np.asarray(maps, dtype=np.float64)
        indices = run.record(address)["strongest_index"]
        columns["spread"].setdefault(depth, []).append(100 * _mean([spread(one) for one in maps[: len(indices)]]))
        columns["near"].setdefault(depth, []).append(100 * looked[address]["near"])
        columns["follow"].setdefault(depth, []).append(moved[address])
        grids = {place: on_grid(masks[index], maps.shape[1:]) for place, index in enumerate(indices) if index in masks}
        if grids:
            places = list(grids)
            following = places[1:] + places[:1]  # another photo of the same unit
            own = [pointing(maps[place], grids[place]) for place in places]
            other = [pointing(maps[place], grids[after]) for place, after in zip(places, following, strict=True)]
            columns["object"].setdefault(depth, []).append(100 * _mean([share - area for share, area in own]))
            gaps = [mine - theirs for (mine, _), (theirs, _) in zip(own, other, strict=True)]
            columns["shuffled"].setdefault(depth, []).append(100 * _mean(gaps))
    return columns


def whole(
    bench: Bench,
    role: str,
    records: Sequence[Record],
    columns: dict[str, ByDepth],
    chosen: Sequence[float | None],
) -> dict[str, tuple[Estimate, float, dict[str, Any]]]:
    """Return what is said about all units together: estimate, what chance would give, and how it is written."""
    run, draws = bench.search(role), bench.draws
    best = {record["address"]: run.record(record["address"])["strongest_activation"] for record in records}
    ratios = [
        record["activation"] / best[record["address"]][0]
        for record in records
        if best[record["address"]] and best[record["address"]][0] > 0
    ]
    percent = {"digits": 1, "scale": 100.0}
    points = {"digits": 1, "signed": True}
    tests: dict[str, tuple[Estimate, float, dict[str, Any]]] = {
        "optimised image excites its unit more than the best photo (% of units; 50 % is as often as not)": (
            mean([float(ratio > 1) for ratio in ratios], **draws),
            0.5,
            percent,
        ),
    }
    shares = [share for share in chosen if share is not None]
    if shares:
        title = "choice test: optimised image tells which of two photos excites its unit (% of pairs; chance 50 %)"
        tests[title] = (mean(shares, **draws), 0.5, percent)
    for name, title in (
        ("object", "map on the object, less the object's area (points; chance 0)"),
        ("shuffled", "map on the object, less that on the object of the unit's next photo (points; chance 0)"),
    ):
        values = [value for found in columns[name].values() for value in found]
        if values:
            tests[title] = (mean(values, **draws), 0.0, points)
    spreads = columns["spread"]
    if len(spreads) > 1:
        last = max(spreads)
        before = [value for depth, found in spreads.items() if depth != last for value in found]
        tests["patches that carry a map: last block less all others (points)"] = (
            difference(spreads[last], before, **draws),
            0.0,
            points,
        )
    return tests


def _strips(bench: Bench, folder: Any) -> str:
    from vitvis.draw.strips import sheet
    from vitvis.search.views import draw_strip

    run = bench.search("model")
    first: dict[int, Record] = {}
    for record in bench.pictures("model"):
        first.setdefault(record["depth"], record)
    strips = [draw_strip(run, record["address"], record["file"], 3) for record in first.values()]
    return write_picture(sheet(strips, columns=2, title=bench.backbone("model").name), folder / "strips.jpg")


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if np.isfinite(value)]
    return float(np.mean(finite)) if finite else float("nan")
