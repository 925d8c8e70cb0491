"""FFN neurons give pictures, queries, keys, values and attention outputs give noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vitvis.findings.bench import KINDS, Bench
from vitvis.findings.charts import Curve, Panel, curve_chart
from vitvis.findings.finding import MEASURED, Finding, Table, sign_of, verdict_of
from vitvis.findings.intervals import Estimate, difference, mean
from vitvis.findings.matching import matches
from vitvis.findings.measures import same_label
from vitvis.findings.sheets import kinds_sheet, write_chart, write_picture
from vitvis.runs.summary import selectivity

__all__ = ["measure"]

Record = dict[str, Any]
NAMES = {"mlp": "FFN neurons", "q": "queries", "k": "keys", "v": "values", "attn": "attention outputs"}
RECIPES = {"default": "default recipe", "paper": "paper's pixels"}


def measure(bench: Bench) -> Finding:
    """Make images of the same number of units of each kind at each depth, in two recipes, and compare kinds."""
    settings, folder = bench.settings, bench.folder("kinds")
    sites = [site for found in bench.kinds.values() for site in found]
    runs = {
        "default": bench.fit("kinds", "model", bench.addresses(sites, settings.units), "fit-model", settings.fit),
        "paper": bench.fit(
            "kinds-paper",
            "model",
            bench.addresses(sites, max(1, settings.units // 2)),
            "fit-model-paper",
            settings.paper,
        ),
    }
    finding, signs = Finding("kinds", MEASURED, ""), []
    for recipe, records in runs.items():
        columns = measured(bench, records)
        gaps = {kind: difference(columns["hf"][kind], columns["hf"]["mlp"], **bench.draws) for kind in KINDS[1:]}
        signs += [sign_of(gap.low, gap.high) for gap in gaps.values()]
        finding.numbers[f"{recipe}/more high frequencies than mlp"] = {kind: vars(gap) for kind, gap in gaps.items()}
        names = [name for name in COLUMNS if name in columns]
        head = [
            "kind",
            "images that woke up",
            "high frequencies (%)",
            "less FFN neurons' (points)",
            *(COLUMNS[name][0] for name in names[1:]),
        ]
        table = Table(f"Means over all depths, {RECIPES[recipe]}", head, [])
        for kind in KINDS:
            estimates = {name: mean(columns[name][kind], **bench.draws) for name in names}
            cells = [estimates[name].text(COLUMNS[name][1], scale=COLUMNS[name][2]) for name in names]
            gap = gaps[kind].text(1, signed=True, scale=100) if kind in gaps else ""
            made = sum(record["kind"] == kind for record in records)
            table.rows.append([NAMES[kind], f"{estimates['hf'].n} of {made}", cells[0], gap, *cells[1:]])
            finding.numbers[f"{recipe}/{kind}"] = {name: vars(estimate) for name, estimate in estimates.items()}
        finding.tables.append(table)
        sheet = kinds_sheet(
            records,
            {kind: NAMES[kind] for kind in KINDS},
            title=f"{bench.backbone('model').name}: kinds by depth, {RECIPES[recipe]}",
        )
        finding.pictures.append(write_picture(sheet, folder / f"{recipe}.jpg"))
    finding.pictures.append(write_chart(_chart(runs, bench), folder / "chart.png"))
    if settings.data:
        found = purity(bench)
        told = ", ".join(f"{NAMES[kind]} {estimate.text(2, scale=100)}" for kind, estimate in found.items())
        finding.found.append(f"Two of a unit's strongest photos have the same class in (%): {told}.")
        finding.numbers["same class"] = {kind: vars(estimate) for kind, estimate in found.items()}
    finding.verdict = verdict_of(signs, "high frequencies of each kind and of FFN neurons, in two recipes")
    return finding


#: Measure: heading, digits, factor.
COLUMNS = {
    "hf": ("high frequencies (%)", 1, 100.0),
    "selectivity": ("selectivity", 2, 1.0),
    "match": ("nearer to its own photos (%)", 1, 100.0),
}


def measured(bench: Bench, records: Sequence[Record]) -> dict[str, dict[str, list[float]]]:
    """Return what is compared, by measure and kind, of images that are no failure; `match` only with photos."""
    columns: dict[str, dict[str, list[float]]] = {}
    matched = matches(bench, "model", records) if bench.settings.data else {}
    for record in (record for record in records if record["status"] == "ok"):
        values = {"hf": record["hf_share"], "selectivity": selectivity(record["rank"], record["site_width"])}
        if record["address"] in matched:
            values["match"] = matched[record["address"]]
        for name, value in values.items():
            columns.setdefault(name, {kind: [] for kind in KINDS})[record["kind"]].append(value)
    return columns


def purity(bench: Bench) -> dict[str, Estimate]:
    """Return how often two of a unit's strongest photos have the same class, by kind, at the depths of the sheet."""
    run = bench.search("model")
    values: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for kind, sites in bench.kinds.items():
        for site in sites:
            for record in run.sites[site.name]:
                values[kind].append(same_label([run.images[index]["label"] for index in record["strongest_index"]]))
    return {kind: mean(found, **bench.draws) for kind, found in values.items()}


def _chart(runs: dict[str, list[Record]], bench: Bench) -> bytes:
    panels = []
    for recipe, made in runs.items():
        records, curves = [record for record in made if record["status"] == "ok"], []
        for kind in KINDS:
            depths = sorted({record["depth"] for record in records})
            points = [
                mean(
                    [
                        100 * record["hf_share"]
                        for record in records
                        if (record["kind"], record["depth"]) == (kind, depth)
                    ],
                    **bench.draws,
                )
                for depth in depths
            ]
            curves.append(Curve(NAMES[kind], [float(depth) for depth in depths], points))
        panels.append(Panel(f"High frequencies (%), {RECIPES[recipe]}", "block", curves))
    return curve_chart(panels)
