"""FFN neurons give pictures, queries, keys, values and attention outputs give noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vitvis.findings.bench import KINDS, Bench
from vitvis.findings.charts import Curve, Panel, curve_chart
from vitvis.findings.finding import MEASURED, Finding, Table, sign_of, verdict_of
from vitvis.findings.intervals import Estimate, difference, mean
from vitvis.findings.judging import choices
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
    measures = {recipe: measured(bench, records) for recipe, records in runs.items()}
    for recipe, records in runs.items():
        columns = measures[recipe]
        names = [name for name in COLUMNS if name in columns]
        head = ["kind", "images that woke up"]
        for name in names:
            head += [COLUMNS[name].heading, *(["less FFN neurons' (points)"] if COLUMNS[name].sign else [])]
        table = Table(f"Means over all depths, {RECIPES[recipe]}", head, [])
        for kind in KINDS:
            awake = [record for record in records if record["kind"] == kind and record["status"] == "ok"]
            made = sum(record["kind"] == kind for record in records)
            cells, numbers = [NAMES[kind], f"{len(awake)} of {made}"], {}
            for name in names:
                column, values = COLUMNS[name], _by_kind(columns[name], kind)
                estimate = mean(values, **bench.draws)
                cells.append(estimate.text(column.digits, scale=column.scale))
                numbers[name] = vars(estimate)
                if not column.sign:
                    continue
                gap = difference(values, _by_kind(columns[name], "mlp"), **bench.draws) if kind != "mlp" else None
                cells.append(gap.text(1, signed=True, scale=column.scale) if gap else "")
                if gap:
                    signs.append(column.sign * sign_of(gap.low, gap.high))
                    numbers[f"{name} less mlp's"] = vars(gap)
            table.rows.append(cells)
            finding.numbers[f"{recipe}/{kind}"] = numbers
        finding.tables.append(table)
        sheet = kinds_sheet(
            records,
            {kind: NAMES[kind] for kind in KINDS},
            title=f"{bench.backbone('model').name}: kinds by depth, {RECIPES[recipe]}",
        )
        finding.pictures.append(write_picture(sheet, folder / f"{recipe}.jpg"))
    finding.pictures.append(write_chart(_chart(measures, bench), folder / "chart.png"))
    if settings.data:
        found = purity(bench)
        told = ", ".join(f"{NAMES[kind]} {estimate.text(2, scale=100)}" for kind, estimate in found.items())
        finding.found.append(f"Two of a unit's strongest photos have the same class in (%): {told}.")
        finding.numbers["same class"] = {kind: vars(estimate) for kind, estimate in found.items()}
    finding.verdict = verdict_of(
        signs, "high frequencies and the choice test of each kind beside FFN neurons', in two recipes"
    )
    return finding


@dataclass(frozen=True)
class _Column:
    """A measure of an image: how it is written, and whether the work's noise has more (1) or less (-1) of it."""

    heading: str
    digits: int
    scale: float
    sign: int = 0


COLUMNS = {
    "hf": _Column("high frequencies (%)", 1, 100.0, 1),
    "choice": _Column("choice test (%)", 1, 100.0, -1),
    "choice_photos": _Column("by the units' own photos (%)", 1, 100.0),
    "selectivity": _Column("selectivity", 2, 1.0),
}
#: By measure, then by kind and depth: a number an image.
Columns = dict[str, dict[tuple[str, int], list[float]]]


def measured(bench: Bench, records: Sequence[Record]) -> Columns:
    """Return what is compared, of images that are no failure; the choice test only with photos."""
    columns: Columns = {}
    chosen = choices(bench, "model", records) if bench.settings.data else {}
    for record in (record for record in records if record["status"] == "ok"):
        values = {
            "hf": record["hf_share"],
            "selectivity": selectivity(record["rank"], record["site_width"]),
            **chosen.get(record["address"], {}),
        }
        for name, value in values.items():
            if value is not None:
                columns.setdefault(name, {}).setdefault((record["kind"], record["depth"]), []).append(value)
    return columns


def _by_kind(column: dict[tuple[str, int], list[float]], kind: str) -> list[float]:
    return [value for (own, _), values in column.items() if own == kind for value in values]


def purity(bench: Bench) -> dict[str, Estimate]:
    """Return how often two of a unit's strongest photos have the same class, by kind, at the depths of the sheet."""
    run = bench.search("model")
    values: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for kind, sites in bench.kinds.items():
        for site in sites:
            for record in run.sites[site.name]:
                values[kind].append(same_label([run.images[index]["label"] for index in record["strongest_index"]]))
    return {kind: mean(found, **bench.draws) for kind, found in values.items()}


def _chart(measures: dict[str, Columns], bench: Bench) -> bytes:
    """Draw what the work's noise has more or less of, over depth: a row of panels a recipe."""
    panels = []
    for recipe, columns in measures.items():
        for name in (name for name, column in COLUMNS.items() if column.sign and name in columns):
            column, found = COLUMNS[name], columns[name]
            depths = sorted({depth for _, depth in found})
            curves = [
                Curve(
                    NAMES[kind],
                    [float(depth) for depth in depths],
                    [mean(found.get((kind, depth), []), **bench.draws).scaled(column.scale) for depth in depths],
                )
                for kind in KINDS
            ]
            chance = 50.0 if name == "choice" else None
            panels.append(Panel(f"{column.heading}, {RECIPES[recipe]}".capitalize(), "block", curves, chance))
    return curve_chart(panels)
