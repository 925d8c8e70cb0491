"""A judge inside a fit: every record carries its verdict as soon as its chunk is done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from vitvis.backbones.eye import Eye, load_eye
from vitvis.backbones.space import Space, make_space
from vitvis.errors import VitvisError
from vitvis.judge.album import Album, missing, open_album
from vitvis.judge.case import search_of
from vitvis.judge.classes import match_outputs
from vitvis.judge.controls import blank_directions
from vitvis.judge.pairs import needed_photos, reference_units, search_record
from vitvis.judge.passes import PhotoJob
from vitvis.judge.scores import Photos, choice_columns, gate_columns, transfer_columns, verdict_column
from vitvis.search.reading import SearchRun, read_search

if TYPE_CHECKING:
    from vitvis.fit.plan import Plan
    from vitvis.fit.settings import FitSettings

__all__ = ["Verdicts", "verdicts_of"]

_BATCH = 64
_SAMPLES = 512
#: Columns of a fit record, and the measures they hold.
COLUMNS = {
    "judge": "judge",
    "judge_choice": "choice",
    "judge_top1": "top1",
    "judge_top5": "top5",
    "judge_probability": "class_probability",
}


def verdicts_of(settings: FitSettings) -> Callable[[Plan], Verdicts] | None:
    """Return what makes the judge of a fit from its plan; None where none is asked for.

    Raises:
        VitvisError: no such judge, or no such search; before the fit has begun.
    """
    asked = settings.judge
    if asked.model is None:
        if asked.search is not None:
            raise VitvisError("judge.search= needs a judge: judge.model=vitvis_resnet, for example")
        return None
    if asked.model == settings.model and asked.weights == settings.weights:
        raise VitvisError(f"judge.model={asked.model}: would judge its own pictures; choose another model")
    search = None if asked.search is None else read_search(asked.search)
    eye = load_eye(asked.model, asked.weights, image_size=asked.image_size)
    return lambda plan: Verdicts(plan, eye, search)


class Verdicts:
    """Judges the pictures of a chunk: `verdicts(records, images)`.

    A verdict depends on nothing but the picture, the judge and the search: not on the chunk, the rank or the order.

    Args:
        plan: Of the fit.
        eye: The judge.
        search: A search of the fit's model, for the choice test; None: class units alone are judged.

    Raises:
        VitvisError: the judge is the fit's own model, or the search is of another one.
    """

    def __init__(self, plan: Plan, eye: Eye, search: SearchRun | None) -> None:
        if eye.backbone.weights_id == plan.backbone.weights_id:
            raise VitvisError(f"judge.model={eye.backbone.name}: would judge its own pictures; choose another model")
        if search is not None and search_of(plan.backbone.weights_id, [search]) is None:
            raise VitvisError(
                f"judge.search={search.path}: is a search of {search.manifest['backbone']['name']}, "
                f"not of {plan.backbone.name} with these weights"
            )
        self.eye, self.search, self.device = eye, search, plan.device
        self.size = plan.backbone.image_size
        self.album = open_album(search, None, split="", photos="auto", folder=plan.path)
        tokens = plan.settings.objective.tokens
        self.same_tokens = search is not None and (search.manifest.get("recipe") or {}).get("tokens") == tokens
        self.classes = match_outputs(plan.backbone, eye)
        self._known: dict[int, np.ndarray] = {}
        self._space: Space | None = None
        self._blank: np.ndarray | None = None

    def __call__(self, records: Sequence[Mapping[str, Any]], images: Tensor) -> list[dict[str, Any]]:
        """Return the judge's columns of some records.

        Args:
            records: Fit records, as far as they are known.
            images: Their pictures, `[N, 3, H, W]` in [0, 1].

        Returns:
            `judged_by`, `judge` (the one number), `judge_choice`, `judge_top1`, `judge_top5`, `judge_probability`; None
            where something can't be measured.
        """
        self.eye.backbone.to(self.device)
        looks = [self.eye.look(part.to(self.device)) for part in images.split(_BATCH)]
        features = torch.cat([look.features for look in looks]).cpu().numpy()
        logits = None
        if self.eye.head is not None:
            logits = torch.cat([look.logits for look in looks if look.logits is not None]).cpu().numpy()
        rows = transfer_columns(records, logits, self.classes)
        for row, more in zip(rows, gate_columns(records, self.search, self.same_tokens), strict=True):
            row.update(more)
        if self.search is not None:
            photos, space = self._photos(records)
            for row, more in zip(rows, choice_columns(records, space.place(features), None, photos), strict=True):
                row.update(more)
        for row, value in zip(rows, verdict_column(records, rows), strict=True):
            row["judge"] = value
        return [
            {"judged_by": self.eye.name, **{column: row.get(name) for column, name in COLUMNS.items()}} for row in rows
        ]

    def _photos(self, records: Sequence[Mapping[str, Any]]) -> tuple[Photos, Space]:
        """Return the photos that these records are tested with, looked at now or before."""
        assert self.search is not None and self.album is not None
        chance = self.album.by_chance(_SAMPLES, 0)
        wanted = set(chance)
        for address in {record["address"] for record in records}:
            found = search_record(self.search, address)
            wanted |= needed_photos(found) if found is not None else set()
        for site in {record["site"] for record in records}:
            for reference in reference_units(self.search, site):
                wanted |= needed_photos(reference)
        self._see(self.album, wanted)
        if self._space is None:
            seen = [self._known[index] for index in chance if index in self._known]
            if len(seen) < 10:
                raise VitvisError(f"{self.search.path}: only {len(seen)} of its photos can be read ({self.album.kind})")
            self._space = make_space(np.stack(seen), self.eye.widths)
        order = sorted(self._known)
        directions = self._space.place(np.stack([self._known[index] for index in order]))
        if self._blank is None:
            self._blank = blank_directions(self.eye, self._space, self.size)
        rows = {index: row for row, index in enumerate(order)}
        return Photos(directions, rows, self.search, self._blank), self._space

    def _see(self, album: Album, wanted: Iterable[int]) -> None:
        if not missing(wanted, self._known):
            return
        cache = album.cache_path(self.eye.name, self.eye.identity)
        self._known |= album.read(cache)
        unknown = missing(wanted, self._known)
        for start in range(0, len(unknown), _BATCH):
            job = PhotoJob(cache, self.eye, album, unknown[start : start + _BATCH])
            images, places = job.load()
            found = job.see(images.to(self.device), places)
            self._known.update(zip(found["index"].tolist(), found["features"], strict=True))
        if unknown:
            self._known = album.read(cache) | self._known  # what other processes have seen meanwhile
            album.write(cache, self._known)
