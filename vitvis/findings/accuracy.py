"""Background and foreground, low-pass filters, single tokens: what `vitvis.evaluate` measures."""

from __future__ import annotations

import shutil
from typing import Any

from vitvis.errors import VitvisError
from vitvis.evaluate.probes import TokensProbe
from vitvis.evaluate.report import cell
from vitvis.findings.bench import Bench
from vitvis.findings.finding import MEASURED, Finding, Table, not_run, sign_of, verdict_of

__all__ = ["measure_background", "measure_lowpass", "measure_tokens"]

Row = dict[str, Any]


def _begin(bench: Bench, name: str, results: dict[str, Any]) -> Finding:
    """Start a finding from what an evaluation left: its chart, and all its rows for programs."""
    folder = bench.folder(name)
    shutil.copyfile(bench.run_folder(name) / "results.png", folder / "chart.png")
    finding = Finding(name, MEASURED, "", pictures=["chart.png"])
    finding.numbers = {"rows": results["rows"], "differences": results["differences"]}
    about = results["about"]
    finding.found.append(f"{about['images']:,} photos of `{_last(about['data'])}`, {about['skipped']} skipped.")
    return finding


def _last(spec: str) -> str:
    return spec.rpartition("/")[2]


def _named(row: Row) -> str:
    return row["variant"] if row.get("fill") is None else f"{row['variant']}, {row['fill']} fill"


def _sign(row: Row, metric: str) -> int:
    return sign_of(row[f"{metric}_low"], row[f"{metric}_high"])


def measure_background(bench: Bench) -> Finding:
    """Compare both models on foreground and background alone."""
    results = bench.evaluate("background")
    finding = _begin(bench, "background", results)
    metrics = ("top1", "top5", "normalized_top1", "normalized_top5")
    head = ["top-1", "top-5", "norm. top-1", "norm. top-5"]
    finding.tables.append(
        Table(
            "Accuracy (%); normalised: 100 x masked / whole",
            ["model", "shown", *head],
            [[row["model"], _named(row), *(cell(row, metric) for metric in metrics)] for row in results["rows"]],
        )
    )
    finding.tables.append(
        Table(
            "Transformer less CNN (points, the same photos drawn for both)",
            ["shown", *head],
            [[_named(row), *(cell(row, metric, signed=True) for metric in metrics)] for row in results["differences"]],
        )
    )
    masked = [row for row in results["differences"] if row["variant"] != "full"]
    for row in masked:
        side = {1: "the transformer keeps more", -1: "the CNN keeps more", 0: "no difference that could be told"}
        finding.found.append(
            f"{_named(row)}: {side[_sign(row, 'normalized_top5')]} "
            f"({cell(row, 'normalized_top5', signed=True)} points of normalised top-5)."
        )
    finding.verdict = verdict_of(
        [_sign(row, "normalized_top5") for row in masked], "normalised top-5 of the two models, each masked variant"
    )
    return finding


def measure_lowpass(bench: Bench) -> Finding:
    """Compare what both models keep under low-pass filters."""
    results = bench.evaluate("lowpass")
    finding = _begin(bench, "lowpass", results)
    models = list(dict.fromkeys(row["model"] for row in results["rows"]))
    gaps = {row["variant"]: row for row in results["differences"]}
    table = Table("Top-1, normalised: 100 x filtered / unfiltered", ["cut-off", *models, "difference"], [])
    signs = []
    for variant in dict.fromkeys(row["variant"] for row in results["rows"]):
        if variant == "full":
            continue
        found = {row["model"]: row for row in results["rows"] if row["variant"] == variant}
        cells = [cell(found[model], "normalized_top1") for model in models]
        table.rows.append(
            [variant.removeprefix("radius "), *cells, cell(gaps[variant], "normalized_top1", signed=True)]
        )
        signs.append(_sign(gaps[variant], "normalized_top1"))
    finding.tables.append(table)
    finding.verdict = verdict_of(signs, "normalised top-1 of the two models, each cut-off")
    return finding


def measure_tokens(bench: Bench) -> Finding:
    """Measure accuracy from single patch tokens, and with CLS kept apart."""
    try:
        TokensProbe().check(bench.backbone("model"))
    except VitvisError as error:
        return not_run("tokens", str(error))
    results = bench.evaluate("tokens", roles=("model",))
    finding = _begin(bench, "tokens", results)
    (probe,) = results["probes"]["tokens"].values()
    finding.numbers["probe"] = probe
    natural, isolated = probe["natural"], probe["isolated"]
    shown = [("CLS, the model as it is", natural)]
    if isolated:
        shown += [
            (f"CLS, kept apart until block {row['until']}", row)
            for row in isolated
            if row["until"]
            in (isolated[len(isolated) // 2]["until"], isolated[-2 if len(isolated) > 1 else -1]["until"])
        ]
    shown += [
        ("one patch token, mean over positions", probe["token_mean"]),
        ("one patch token, best position (chosen on the same photos)", probe["token_best"]),
    ]
    finding.tables.append(
        Table(
            "Accuracy (%)",
            ["head applied to", "top-1", "top-5"],
            [[name, cell(row, "top1"), cell(row, "top5")] for name, row in shown],
        )
    )
    shares = [_kept(probe["token_mean"], natural)] + ([_kept(isolated[-2], natural)] if len(isolated) > 1 else [])
    finding.verdict = f"a patch token alone keeps {shares[0]:.0f} % of the top-1 of CLS (the work: 90 %)" + "".join(
        f", CLS that sees the patches in the last block alone {share:.0f} % (93 %)" for share in shares[1:]
    )
    return finding


def _kept(row: Row, natural: Row) -> float:
    return 100 * row["top1"] / natural["top1"] if natural["top1"] else float("nan")
