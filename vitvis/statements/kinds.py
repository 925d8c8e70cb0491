"""FFN neurons give pictures, queries, keys, values and attention outputs give noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vitvis.statements.bench import KINDS, Bench
from vitvis.statements.charts import Curve, Panel, curve_chart
from vitvis.statements.finding import MEASURED, Finding, Table, sign_of, verdict_of
from vitvis.statements.intervals import Estimate, difference, mean
from vitvis.statements.measures import same_label
from vitvis.statements.sheets import kinds_sheet, write_chart, write_picture
from vitvis.synthesis.summary import selectivity

if TYPE_CHECKING:
    from vitvis.backbones import Backbone

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
        "paper": bench.fit("kinds-paper", "model", bench.addresses(sites, max(1, settings.units // 2)),
                           "fit-model-paper", settings.paper),
    }  # fmt: skip
    finding = Finding("kinds", MEASURED, "")
    cnn = bench.backbone("cnn")
    rows: dict[str, list[str]] = {kind: [NAMES[kind]] for kind in KINDS}
    head, signs = ["kind"], []
    for recipe, records in runs.items():
        columns = measured(records, cnn)
        head += [f"high frequencies (%), {RECIPES[recipe]}", f"selectivity, {RECIPES[recipe]}"]
        head += [f"CNN's surest class (%), {RECIPES[recipe]}"] if "sure" in columns else []
        for kind in KINDS:
            estimates = {name: mean(by_kind[kind], **bench.draws) for name, by_kind in columns.items()}
            rows[kind] += [estimates[name].text(*_FORMS[name][:1], scale=_FORMS[name][1]) for name in estimates]
            finding.numbers[f"{recipe}/{kind}"] = {name: vars(estimate) for name, estimate in estimates.items()}
        gaps = {kind: difference(columns["hf"][kind], columns["hf"]["mlp"], **bench.draws) for kind in KINDS[1:]}
        finding.numbers[f"{recipe}/more high frequencies than mlp"] = {kind: vars(gap) for kind, gap in gaps.items()}
        signs += [sign_of(gap.low, gap.high) for gap in gaps.values()]
        told = ", ".join(f"{NAMES[kind]} {gap.text(1, signed=True, scale=100)}" for kind, gap in gaps.items())
        finding.found.append(
            f"Share of high frequencies less that of FFN neurons, in points ({RECIPES[recipe]}): {told}."
        )
        sheet = kinds_sheet(records, {kind: NAMES[kind] for kind in KINDS},
                            title=f"{bench.backbone('model').name}: kinds by depth, {RECIPES[recipe]}")  # fmt: skip
        finding.pictures.append(write_picture(sheet, folder / f"{recipe}.jpg"))
    finding.pictures.append(write_chart(_chart(runs, bench), folder / "chart.png"))
    if settings.data:
        head.append("same class among the top photos (% of pairs)")
        for kind, estimate in purity(bench).items():
            rows[kind].append(estimate.text(2, scale=100))
            finding.numbers.setdefault("same class", {})[kind] = vars(estimate)
    finding.tables.append(Table("Means over all depths", head, list(rows.values())))
    finding.verdict = verdict_of(signs, "high frequencies of each kind and of FFN neurons, in two recipes")
    return finding


_FORMS = {"hf": (1, 100.0), "selectivity": (2, 1.0), "sure": (1, 100.0)}


def measured(records: Sequence[Record], judge: Backbone) -> dict[str, dict[str, list[float]]]:
    """Return what is compared, by measure and kind; `sure` only where the judge has a classifier."""
    alive = [record for record in records if record["status"] != "failed"]
    columns: dict[str, dict[str, list[float]]] = {name: {kind: [] for kind in KINDS} for name in ("hf", "selectivity")}
    for record in alive:
        columns["hf"][record["kind"]].append(record["hf_share"])
        columns["selectivity"][record["kind"]].append(selectivity(record["rank"], record["site_width"]))
    if judge.num_classes:
        columns["sure"] = {kind: [] for kind in KINDS}
        for record, sure in zip(alive, surest(judge, alive), strict=True):
            columns["sure"][record["kind"]].append(sure)
    return columns


def surest(judge: Backbone, records: Sequence[Record], batch: int = 32) -> list[float]:
    """Return the probability of the class that a network takes each image for."""
    import torch
    from PIL import Image

    transform, found = judge.transform(), []
    for start in range(0, len(records), batch):
        images = torch.stack([transform(Image.open(record["file"])) for record in records[start : start + batch]])
        with torch.inference_mode():
            found += judge(images.to(judge.mean.device)).float().softmax(dim=-1).max(dim=-1).values.tolist()
    return found


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
    for recipe, records in runs.items():
        curves = []
        for kind in KINDS:
            depths = sorted({record["depth"] for record in records})
            points = [mean([record["hf_share"] for record in records if (record["kind"], record["depth"])
                            == (kind, depth)], **bench.draws) for depth in depths]  # fmt: skip
            curves.append(Curve(NAMES[kind], [float(depth) for depth in depths], points))
        panels.append(Panel(f"High frequencies, {RECIPES[recipe]}", "block", curves))
    return curve_chart(panels)
