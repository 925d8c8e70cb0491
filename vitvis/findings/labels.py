"""Concepts without CLIP: do the photos of a unit mean the same by their labels, and look different?

WordNet says how much the classes of two photos have in common, colours and the first block of the other model how alike
they look. It is a stand-in: labels know one thing of a photo, and nothing of music or of things seen from above.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vitvis.findings.bench import ROLES, Bench
from vitvis.findings.charts import Curve, Panel, curve_chart
from vitvis.findings.finding import Finding, Table
from vitvis.findings.intervals import mean
from vitvis.findings.sheets import write_chart

if TYPE_CHECKING:
    from vitvis.concepts.score import Floats

__all__ = ["agreements", "score_by_labels"]

COLUMNS = {
    "meaning": "agreement of labels (WordNet)",
    "pixels": "of colours",
    "shallow": "of the other model's first block",
    "less pixels": "labels less colours",
    "less shallow": "labels less first block",
}


def score_by_labels(bench: Bench, finding: Finding) -> None:
    """Add a table, a chart and a sentence to a finding; where labels have no WordNet ids, a sentence that says so."""
    from vitvis.errors import VitvisError

    table = Table("A stand-in, not CLIP: concept scores by labels", ["model", "blocks", "units", *COLUMNS.values()], [])
    curves: dict[str, list[Curve]] = {"less pixels": [], "less shallow": []}
    for colour, role in enumerate(ROLES):
        try:
            depths, found = agreements(bench, role)
        except VitvisError as error:
            finding.found.append(f"Labels can't stand in for a language space here: {error}.")
            return
        blocks = sorted(set(depths.tolist()))
        for part, own in zip(("shallow", "middle", "deep"), np.array_split(blocks, 3), strict=True):
            chosen = np.isin(depths, own)
            cells = [mean(found[name][chosen].tolist(), **bench.draws) for name in COLUMNS]
            texts = [cell.text(3, signed=True) for cell in cells]
            table.rows.append([bench.backbone(role).name, part, str(int(chosen.sum())), *texts])
            finding.numbers[f"{role}/{part}"] = {name: vars(cell) for name, cell in zip(COLUMNS, cells, strict=True)}
        for name, drawn in curves.items():
            points = [mean(found[name][depths == block].tolist(), **bench.draws) for block in blocks]
            x = [block / max(1, blocks[-1]) for block in blocks]
            drawn.append(Curve(bench.backbone(role).name, x, points, colour))
    finding.tables.append(table)
    panels = [
        Panel(COLUMNS[name].capitalize(), "depth (0: first block, 1: last)", drawn, 0.0)
        for name, drawn in curves.items()
    ]
    finding.pictures.append(write_chart(curve_chart(panels), bench.folder("clip") / "labels.png"))
    finding.found.append(
        "CLIP itself was not run. In its place, labels on the models at hand: above 0 where a unit's photos are of "
        "nearer classes than they look alike, beside pairs of random photos."
    )


def agreements(bench: Bench, role: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the block of each unit of a search, `[U]`, and its agreements and scores by name, `[U]` each.

    Raises:
        VitvisError: photos have no WordNet ids.
    """
    from vitvis.concepts.embed import Parts
    from vitvis.concepts.engine import strongest_photos
    from vitvis.concepts.score import agreement
    from vitvis.concepts.spaces import BackboneLook, LabelMeaning, Look, Photos, PixelLook

    run = bench.search(role)
    units: Sequence[dict[str, Any]] = [record for site in bench.sites(role) for record in run.sites[site.name]]
    files, exemplars = strongest_photos(run.path, units, bench.settings.k)
    photos = Photos(run.path, files, bench.out / "runs" / f"cache-{role}", batch=64)
    spaces: dict[str, Look] = {
        "meaning": LabelMeaning(),
        "pixels": PixelLook(),
        "shallow": BackboneLook(bench.backbone(bench.other(role)), block=0),
    }
    found: dict[str, Floats] = {}
    for name, space in spaces.items():
        features = space.photos(photos, Parts())
        assert features is not None, "all parts are made here"
        found[name] = agreement(features, exemplars, bench.settings.seed)
    scores = {f"less {name}": found["meaning"] - found[name] for name in ("pixels", "shallow")}
    return np.array([unit["depth"] for unit in units]), {**found, **scores}
