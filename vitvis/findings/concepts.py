"""CLIP holds concepts: units whose photos look different and mean the same.

Without CLIP's weights, labels stand in for a language space, on the models at hand (`labels.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vitvis.concepts.settings import ConceptsSettings
from vitvis.config.core import merge, recipe_path
from vitvis.errors import VitvisError
from vitvis.findings.bench import Bench
from vitvis.findings.finding import MEASURED, NOT_RUN, Finding, Table, sign_of, verdict_of
from vitvis.findings.intervals import difference, mean
from vitvis.findings.labels import score_by_labels
from vitvis.findings.sheets import write_picture
from vitvis.fit.settings import FitSettings
from vitvis.search.settings import SearchSettings

if TYPE_CHECKING:
    from vitvis.concepts.engine import Concepts

__all__ = ["measure"]

#: What the commands are tried with where there are no weights: enough to see that they run, and no more.
TRIAL = {"photos": 8, "k": 4, "units": 2}


def measure(bench: Bench) -> Finding:
    """Score units of CLIP and of the supervised model; without weights, try the commands on random ones."""
    if bench.settings.clip_weights is None:
        return _try(bench)
    _fit(bench, {"weights": bench.settings.clip_weights}, bench.settings.fit)
    run = bench.search("model")
    concepts = _concepts(bench, {"weights": bench.settings.clip_weights}, [str(run.path)], bench.settings.k)
    return _compare(bench, concepts)


def _try(bench: Bench) -> Finding:
    """Run every command on random weights."""
    why = "no weights were given (clip_weights=FILE or a tag)"
    finding = Finding("clip", NOT_RUN, f"NOT RUN: {why}")
    if bench.settings.data:
        score_by_labels(bench, finding)
    try:
        _fit(bench, {"weights": "none"}, {"steps": 1, "copies": 1}, per_site=1)
        if bench.settings.data:
            words = bench.folder("clip") / "words.txt"
            words.write_text("music\nillness\nmany\nfrom above\n", encoding="utf-8")
            _concepts(
                bench,
                {
                    "weights": "none",
                    "limit": TRIAL["photos"],
                    "units": [f"blocks.*.mlp:~{TRIAL['units']}"],
                    "k": TRIAL["k"],
                },
                [],
                TRIAL["k"],
                str(words),
            )
    except VitvisError as error:
        finding.found.append(f"The commands could not be tried: {error}.")
        return finding
    tried = "fit, search and concepts" if bench.settings.data else "fit"
    finding.found.append(
        f"The commands ({tried}) were tried on `{bench.settings.clip}` with random weights, one step an image and "
        f"{TRIAL['photos']} photos: they run. That says nothing about the statement."
    )
    return finding


def _fit(bench: Bench, own: dict[str, Any], extra: dict[str, Any], per_site: int | None = None) -> None:
    from vitvis.fit.engine import run_fit

    settings = merge(FitSettings, recipe_path("findings/clip"), _common(bench, "fit-clip", own), extra)
    if per_site is not None:
        settings.units = [f"blocks.*.mlp:~{per_site}", 'text:"music"']
    run_fit(settings)


def _concepts(
    bench: Bench, own: dict[str, Any], others: list[str], k: int, vocabulary: str | None = None
) -> list[Concepts]:
    from vitvis.concepts.engine import find_concepts
    from vitvis.search.engine import search

    settings = bench.settings
    base = {
        "data": settings.data,
        "limit": settings.clip_limit or settings.limit,
        "seed": settings.seed,
        "workers": settings.trainer.workers,
    }
    path = search(merge(SearchSettings, recipe_path("findings/clip-search"), base, _common(bench, "search-clip", own)))
    weights = str(own["weights"])
    return find_concepts(
        merge(
            ConceptsSettings,
            {
                "run": [str(path), *others],
                "language": settings.clip,
                "language_weights": weights,
                "k": k,
                "vocabulary": vocabulary,
                "look": settings.cnn,
                "look_weights": settings.cnn_weights,
                "seed": settings.seed,
            },
        )
    )


def _common(bench: Bench, folder: str, own: dict[str, Any]) -> dict[str, Any]:
    trainer = bench.settings.trainer
    where = {"accelerator": trainer.accelerator, "devices": 1, "threads": trainer.threads, "progress": trainer.progress}
    name = folder if own["weights"] != "none" else f"{folder}-random"
    return {"model": bench.settings.clip, "out": str(bench.run_folder(name)), "trainer": where, **own}


def _compare(bench: Bench, concepts: list[Concepts]) -> Finding:
    """Set the scores of CLIP's units against those of the supervised model."""
    finding, folder = Finding("clip", MEASURED, ""), bench.folder("clip")
    scores = [[row["score"] for row in one.records if row["score"] is not None] for one in concepts]
    table = Table("Concept score by layer", ["model", "site", "units", "score"], [])
    for one in concepts:
        for row in one.table:
            values = [record["score"] for record in one.records if record["site"] == row["site"]]
            estimate = mean([value for value in values if value is not None], **bench.draws)
            table.rows.append([row["backbone"], row["site"], str(row["units"]), estimate.text(3, signed=True)])
    gap = difference(scores[0], scores[1], **bench.draws)
    finding.tables.append(table)
    finding.found.append(f"CLIP's units score {gap.text(3, signed=True)} against the supervised model's.")
    top = sorted((row for row in concepts[0].records if row["score"] is not None), key=lambda row: -row["score"])[:8]
    words = [[row["address"], f"{row['score']:+.2f}", ", ".join(row["words"][:5])] for row in top]
    finding.tables.append(Table("CLIP's units of the highest score", ["unit", "score", "words"], words))
    sheet = bench.run_folder("fit-clip") / "sheet.png"
    if sheet.is_file():
        from PIL import Image

        with Image.open(sheet) as picture:
            finding.pictures.append(write_picture(picture.convert("RGB"), folder / "sheet.jpg"))
    finding.numbers = {"clip less supervised": vars(gap), "scores": scores}
    finding.verdict = verdict_of([sign_of(gap.low, gap.high)], "concept scores of CLIP and of the supervised model")
    return finding
