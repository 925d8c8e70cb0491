"""Whether the optimised image of a unit resembles the photos that excite it, in the eyes of the other model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vitvis.concepts.embed import embed_pictures
from vitvis.concepts.score import centre
from vitvis.findings.bench import Bench

__all__ = ["matches", "place_among"]


def matches(bench: Bench, role: str, records: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return, by address, the share of its layer's other units whose photos a unit's image resembles less, 0..1.

    Images and photos are compared by the mean patch of the last block of the *other* model, which had no part in
    either. Both are centred at their own means first, since optimised images differ from photos as such.
    """
    judge, run = bench.backbone("cnn" if role == "model" else "model"), bench.search(role)
    alive = [record for record in records if record["file"]]
    photos = {
        found["address"]: found["strongest_index"][: bench.settings.photos]
        for site in dict.fromkeys(record["site"] for record in alive)
        for found in run.sites[site]
    }
    numbers = sorted({index for indices in photos.values() for index in indices})
    cache = bench.out / "runs" / f"cache-{role}"
    images = centre(embed_pictures(judge, {record["address"]: record["file"] for record in alive}, cache, look=True))
    seen = centre(embed_pictures(judge, {str(index): run.thumb(index) for index in numbers}, cache, look=True))
    place = {index: row for row, index in enumerate(numbers)}
    means = {address: seen[[place[index] for index in indices]].mean(axis=0) for address, indices in photos.items()}
    found = {}
    for record, image in zip(alive, images, strict=True):
        others = [means[one["address"]] for one in run.sites[record["site"]] if one["address"] != record["address"]]
        if others:
            found[record["address"]] = place_among(image, means[record["address"]], np.stack(others))
    return found


def place_among(image: np.ndarray, own: np.ndarray, others: np.ndarray) -> float:
    """Return the share of vectors `[N, D]` that lie further from an image `[D]` than its own `[D]`; ties count half.

    Nearness is the dot product; 0.5 is chance.
    """
    mine, theirs = float(image @ own), others @ image
    return float((theirs < mine).mean() + 0.5 * (theirs == mine).mean())
