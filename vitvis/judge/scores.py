"""From what an eye saw to a row a picture: choice, transfer, naturalness, agreement, verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vitvis.backbones.space import Space
from vitvis.judge.agreement import agreement
from vitvis.judge.choice import Choice, Pairs, SharedContrast, choose, choose_by_photos, level, orthonormal, without
from vitvis.judge.pairs import make_pairs, reference_units, search_record
from vitvis.judge.transfer import transfer
from vitvis.judge.verdict import beats_best_photo, indifferent, verdict
from vitvis.runs.files import utf8
from vitvis.search.reading import SearchRun

__all__ = ["Photos", "agreement_column", "choice_columns", "gate_columns", "transfer_columns", "verdict_column"]

Floats = NDArray[np.floating]
Rows = list[dict[str, Any]]
Record = Mapping[str, Any]
#: Pictures of other units that a unit's photos are also tried with; the mean of their shares is the lower line.
OTHERS = 3


@dataclass(frozen=True)
class Photos:
    """Directions of photos.

    Attributes:
        directions: `[N, D]`, of length 1.
        rows: Their rows by dataset index.
        search: Where units' photos are listed.
        blank: Directions of images that explain nothing, `[K, D]`; None for none.
    """

    directions: Floats
    rows: Mapping[int, int]
    search: SearchRun
    blank: Floats | None = None


def choice_columns(
    records: Sequence[Record], pictures: Floats, noise: Floats | None, photos: Photos, seed: int = 0
) -> Rows:
    """Return the columns of the choice test, a row a picture.

    Args:
        records: Fit records.
        pictures: Their directions, `[P, D]`.
        noise: Directions of images of noise, `[M, D]`; None leaves the lines above and below out, and the columns are
            those of the picture alone.
        photos: Photos of the search.
        seed: Of the draw of other units' pictures.
    """
    rows: Rows = [{} for _ in records]
    sites: dict[str, list[int]] = {}
    for place, record in enumerate(records):
        sites.setdefault(record["site"], []).append(place)
    for site, places in sites.items():
        reference = reference_units(photos.search, site)
        pairs_of = {row["address"]: make_pairs(row, photos.rows) for row in reference}
        shared = SharedContrast(list(pairs_of.values()), photos.directions)
        for place in places:
            record = records[place]
            found = search_record(photos.search, record["address"])
            if found is None:
                continue
            minimised = record["address"].startswith("-") and not found["address"].startswith("-")
            used = [int(index) for index in record.get("photos_used") or ()]
            pairs = make_pairs(found, photos.rows, minimised=minimised, used=used)
            if not pairs.usable:
                continue
            basis = shared.basis(pairs_of.get(found["address"]), photos.directions)
            near, own = _localise(pairs, photos, basis)
            if noise is None:
                rows[place] = _own_columns(choose(own, near, without(pictures[place], basis)))
                continue
            others = _others(records, places, place, seed)
            seen = without(pictures[[place, *others]], basis)
            rows[place] = _columns(
                choose(own, near, seen[0]),
                choose_by_photos(own, near),
                [choose(own, near, direction) for direction in seen[1:]],
                [choose(own, near, direction) for direction in without(noise, basis)],
            )
    return rows


def _localise(pairs: Pairs, photos: Photos, basis: Floats) -> tuple[Floats, Pairs]:
    """Return the directions of a unit's own photos, without what its site shares, and its pairs as rows of these."""
    parts = (pairs.strong, pairs.weak, pairs.middle)
    near = without(photos.directions[np.concatenate(parts)], basis)
    strong, weak, middle = np.split(np.arange(len(near)), np.cumsum([len(part) for part in parts])[:-1])
    if photos.blank is not None:
        near = level(near, (strong, weak, middle), orthonormal(without(photos.blank, basis)))
    return near, replace(pairs, strong=strong, weak=weak, middle=middle)


def _others(records: Sequence[Record], places: Sequence[int], place: int, seed: int) -> list[int]:
    """Return pictures of other units, of the same site where it has any, drawn by seed and address."""
    own = records[place]["address"]
    pool = [other for other in places if records[other]["address"] != own]
    pool = pool or [other for other, record in enumerate(records) if record["address"] != own]
    key = [seed, *utf8(own), int(records[place].get("seed") or 0)]
    draw = np.random.default_rng(key).permutation(len(pool))[:OTHERS]
    return [pool[index] for index in draw]


def _columns(own: Choice, photos: Choice, others: Sequence[Choice], noise: Sequence[Choice]) -> dict[str, Any]:
    return _own_columns(own) | {
        "choice_photos": _number(photos.share),
        "choice_other": _number(_mean([choice.share for choice in others])),
        "choice_noise": _number(_mean([choice.share for choice in noise])),
    }


def _own_columns(own: Choice) -> dict[str, Any]:
    return {
        "choice": _number(own.share),
        "choice_easy": _number(own.easy),
        "choice_hard": _number(own.hard),
        "choice_by_decile": [_number(value) for value in own.by_decile],
    }


def transfer_columns(records: Sequence[Record], logits: Floats | None, classes: Sequence[int | None] | None) -> Rows:
    """Return `class_rank`, `class_probability`, `top1` and `top5` of pictures of class units; None elsewhere.

    Args:
        records: Fit records.
        logits: Of the judge's classifier, `[P, K]`; None where it has none.
        classes: The judge's output for each output of the run's model; None where they can't be matched.
    """
    rows: Rows = [dict.fromkeys(("class_rank", "class_probability", "top1", "top5")) for _ in records]
    if logits is None or classes is None:
        return rows
    wanted = {
        place: output
        for place, record in enumerate(records)
        if is_class_unit(record) and (output := classes[record["unit"]]) is not None
    }
    if not wanted:
        return rows
    found = transfer(torch.from_numpy(logits[list(wanted)]), torch.tensor(list(wanted.values())))
    for place, rank, probability in zip(wanted, found.rank.tolist(), found.probability.tolist(), strict=True):
        rows[place] = {
            "class_rank": rank,
            "class_probability": probability,
            "top1": float(rank <= 1),
            "top5": float(rank <= 5),
        }
    return rows


def is_class_unit(record: Record) -> bool:
    """Say whether a picture stands for a class: a logit that is maximised, no direction and no prompt."""
    return record["kind"] == "head" and not record.get("direction") and (record.get("sign") or 1) > 0


def gate_columns(records: Sequence[Record], search: SearchRun | None, same_tokens: bool) -> Rows:
    """Return `beats_photo` and `indifferent`, True, False or None: what the run's own unit says to its picture."""
    rows: Rows = []
    for record in records:
        found = search_record(search, record["address"]) if search is not None and same_tokens else None
        minimised = found is not None and record["address"].startswith("-") and not found["address"].startswith("-")
        activation = record.get("activation")
        rows.append(
            {
                "beats_photo": beats_best_photo(activation, found, minimised=minimised),
                "indifferent": indifferent(activation, found, minimised=minimised),
            }
        )
    return rows


def verdict_column(records: Sequence[Record], rows: Rows) -> list[float | None]:
    """Return the one number of each picture from its record and its other columns."""
    return [
        verdict(
            ok=record.get("status", "ok") == "ok",
            indifferent=row.get("indifferent"),
            choice=row.get("choice"),
            rank=row.get("class_rank"),
        )
        for record, row in zip(records, rows, strict=True)
    ]


def agreement_column(records: Sequence[Record], features: Floats, widths: Sequence[int]) -> list[float | None]:
    """Return, for each picture, how much nearer its siblings from other seeds are than other units' pictures.

    Features are measured from the pictures' own mean and in their own deviations, site by site, so that what all
    pictures of a recipe have in common does not count.
    """
    column: list[float | None] = [None] * len(records)
    sites: dict[str, list[int]] = {}
    for place, record in enumerate(records):
        sites.setdefault(record["site"], []).append(place)
    for places in sites.values():
        names = [records[place]["address"] for place in places]
        if len(set(names)) < 2 or len(set(names)) == len(names):
            continue
        own = features[places].astype(np.float64)
        scale = own.std(0)
        space = Space(own.mean(0), np.maximum(scale, 1e-3 * max(float(np.median(scale)), 1e-12)), tuple(widths))
        for place, value in zip(places, agreement(space.place(own), names), strict=True):
            column[place] = _number(float(value))
    return column


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _mean(values: Sequence[float]) -> float:
    found = [value for value in values if not math.isnan(value)]
    return sum(found) / len(found) if found else math.nan
