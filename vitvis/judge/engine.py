"""A whole judgement: open, look, score, write."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from vitvis.backbones.eye import Eye, load_eye
from vitvis.backbones.space import make_space
from vitvis.data.passes import make_trainer
from vitvis.data.photo import UnusableImage
from vitvis.judge.album import Album, as_tensor, missing, open_album
from vitvis.judge.case import Case, load_model, open_case
from vitvis.judge.checks import check_judges, check_names, named_judges
from vitvis.judge.classes import classes_of
from vitvis.judge.controls import blank_directions, noise_directions
from vitvis.judge.naturalness import kernel_distance, radial_spectrum, spectrum_distance
from vitvis.judge.pairs import address_hash, needed_photos, reference_units, search_record
from vitvis.judge.passes import Job, Passes, PhotoJob, PictureJob, decoding_processes, is_whole, read_job
from vitvis.judge.results import FOLDER, Judgement, read_judgement, write_judgement
from vitvis.judge.scores import (
    Photos,
    agreement_column,
    choice_columns,
    gate_columns,
    transfer_columns,
    verdict_column,
)
from vitvis.judge.settings import JudgeSettings
from vitvis.judge.sturdiness import CHANGES
from vitvis.launch.isolation import isolated
from vitvis.launch.ranks import IndependentStrategy
from vitvis.launch.shards import Shard, hold, nothing_to_join, unfinished
from vitvis.runs import Ledger, digest
from vitvis.search.reading import read_search

__all__ = ["Judgement", "judge_runs"]

#: Where what was seen waits until a judgement is whole.
WORK = "judge/work"
#: Counts what a measure's name has meant: a judgement of another count is made anew. 2: `seam` beside its surroundings.
MEASURES = 2
_SPECTRA = 256


@dataclass
class _Plan:
    """A run with its photos and its jobs."""

    case: Case
    album: Album | None
    work: Path
    asked: str = ""
    chance: list[int] = field(default_factory=list)
    photo_jobs: dict[str, list[PhotoJob]] = field(default_factory=dict)
    picture_jobs: list[tuple[PictureJob, list[int]]] = field(default_factory=list)

    @property
    def jobs(self) -> list[Job]:
        photos: list[Job] = [job for jobs in self.photo_jobs.values() for job in jobs]
        return [*photos, *(job for job, _ in self.picture_jobs)]


@isolated
def judge_runs(settings: JudgeSettings) -> list[Judgement]:
    """Judge pictures of runs; what was judged before and has not changed is only read.

    Returns:
        A judgement for each run and judge, in that order; on ranks other than 0, and of a shard where others are
        missing, none.

    Raises:
        VitvisError: something that was asked for isn't there, or a judge would judge its own pictures.
    """
    searches = [read_search(folder) for folder in settings.search]
    cases = [open_case(folder, searches) for folder in settings.run]
    names = named_judges(settings, cases)
    trainer = make_trainer(settings.trainer, alone=bool(settings.shard or settings.finish))
    eyes = [load_eye(name, weights, image_size=settings.image_size) for name, weights in names]
    check_names(eyes)
    for case in cases:
        check_judges(case, eyes)
        load_model(case)
    plans = [_plan(case, eyes, settings) for case in cases]
    jobs = list({job.path: job for plan in plans for job in plan.jobs}.values())
    place = cases[0].path / FOLDER
    if settings.finish and not place.is_dir():
        raise nothing_to_join(cases[0].path)
    if settings.shard or settings.finish:
        return _judge_share(trainer, plans, jobs, eyes, settings, place)
    with hold(place) if trainer.is_global_zero else nullcontext():
        if any(not job.path.is_file() for job in jobs) or isinstance(trainer.strategy, IndependentStrategy):
            _look(trainer, jobs, eyes, cases, settings)
        if isinstance(trainer.strategy, IndependentStrategy):
            trainer.strategy.meet()
        return _score(plans, jobs, eyes, settings) if trainer.is_global_zero else []


def _judge_share(
    trainer: pl.Trainer,
    plans: Sequence[_Plan],
    jobs: Sequence[Job],
    eyes: Sequence[Eye],
    settings: JudgeSettings,
    place: Path,
) -> list[Judgement]:
    """Do a share of the jobs, and score where it was the last; what is judged already is only read."""

    def known() -> list[Judgement]:
        found = [read_judgement(plan.case, eye.name, plan.asked) for plan in plans for eye in eyes]
        return [item for item in found if item is not None] if None not in found else []

    if settings.shard and not known():
        with hold(place, settings.shard):
            _look(trainer, Shard.of(settings.shard).own(jobs), eyes, [plan.case for plan in plans], settings)
        if not all(is_whole(job.path) for job in jobs):
            return known()  # another one may have scored, and cleared the jobs away
    with hold(place, join=True):
        done = known()
        if done:
            return done
        left = sum(not is_whole(job.path) for job in jobs)
        if left and settings.shard:
            return []
        if left:
            raise unfinished(place.parent, left, len(jobs))
        return _score(plans, jobs, eyes, settings)


def _score(
    plans: Sequence[_Plan], jobs: Sequence[Job], eyes: Sequence[Eye], settings: JudgeSettings
) -> list[Judgement]:
    """Score what was looked at, and clear it away."""
    done = [_judge_one(plan, eye, settings) for plan in plans for eye in eyes]
    for folder in {plan.case.path / WORK for plan in plans} | {job.path.parent for job in jobs}:
        shutil.rmtree(folder, ignore_errors=True)
    return done


def _plan(case: Case, eyes: Sequence[Eye], settings: JudgeSettings) -> _Plan:
    """Say which photos and pictures have to be looked at. The same on every rank."""
    album = open_album(case.search, settings.data, split=settings.split, photos=settings.photos, folder=case.path)
    key = digest(
        {
            "measures": MEASURES,
            "eyes": [eye.identity for eye in eyes],
            "records": [[row["address"], row.get("seed"), row.get("recipe")] for row in case.records],
            "sturdiness": settings.sturdiness,
            "batch": settings.batch_size,
        },
        10,
    )
    plan = _Plan(case, album, case.path / WORK / key, _asked(key, case, album, settings))
    if album is not None:
        plan.chance = album.by_chance(settings.samples, settings.seed)
        wanted = set(plan.chance) | (_photos_of_units(case) if case.search is not None else set())
        for eye in eyes:
            cache = album.cache_path(eye.name, eye.identity)
            unknown = missing(wanted, album.read(cache))
            batches = [
                unknown[start : start + settings.batch_size] for start in range(0, len(unknown), settings.batch_size)
            ]
            plan.photo_jobs[eye.name] = [
                PhotoJob(cache.with_suffix("") / f"{batch[0]}-{digest(batch, 8)}.npz", eye, album, batch)
                for batch in batches
            ]
    for site in dict.fromkeys(row["site"] for row in case.records):
        places = [place for place, row in enumerate(case.records) if row["site"] == site]
        shaken = set(
            sorted({case.records[place]["address"] for place in places}, key=address_hash)[: settings.sturdiness]
        )
        for start in range(0, len(places), settings.batch_size):
            own = places[start : start + settings.batch_size]
            rows = [case.records[place] for place in own]
            sturdy = [number for number, row in enumerate(rows) if row["address"] in shaken]
            units = case.units(rows) if sturdy else None
            job = PictureJob(
                plan.work / f"{own[0]:06d}.npz",
                eyes,
                [case.path / str(row["image"]) for row in rows],
                None if units is None else units[1],
                None if units is None else units[0],
                case.grid(site),
                case.backbone,
                case.tokens,
                sturdy,
            )
            plan.picture_jobs.append((job, own))
    return plan


def _asked(key: str, case: Case, album: Album | None, settings: JudgeSettings) -> str:
    """Name all that decides a judgement: pictures, judges and how they look, photos, what the search has found."""
    found = {} if case.search is None else Ledger(case.search.path).known
    records = sorted((name, sorted(sums)) for name, sums in found.items() if name.startswith("records/"))
    photos = None if album is None else album.place
    return digest([key, photos, records, settings.samples, settings.seed], 12)


def _photos_of_units(case: Case) -> set[int]:
    """Return the photos of the run's units, and of the units that tell what their sites share."""
    assert case.search is not None
    wanted: set[int] = set()
    for address in {row["address"] for row in case.records}:
        found = search_record(case.search, address)
        wanted |= needed_photos(found) if found is not None else set()
    for site in {row["site"] for row in case.records}:
        for record in reference_units(case.search, site):
            wanted |= needed_photos(record)
    return wanted


def _look(
    trainer: pl.Trainer, jobs: Sequence[Job], eyes: Sequence[Eye], cases: Sequence[Case], settings: JudgeSettings
) -> None:
    on_gpu = trainer.strategy.root_device.type != "cpu"
    models = [eye.backbone for eye in eyes] + [case.backbone for case in cases if case.backbone is not None]
    module = Passes(
        jobs, models, workers=decoding_processes(settings.workers, on_gpu), progress=settings.trainer.progress
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")
        warnings.filterwarnings("ignore", message=".*DataLoader. across ranks is zero.*")
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*predict returned None.*")
        trainer.predict(module, return_predictions=False)


def _judge_one(plan: _Plan, eye: Eye, settings: JudgeSettings) -> Judgement:
    """Score a run's pictures by one eye and write that down."""
    case, album = plan.case, plan.album
    rows, seen, logits, spectra = _read_pictures(plan, eye)
    notes = list(case.notes)
    kid = None
    if album is not None:
        known = _photo_features(plan, eye)
        chance = [index for index in plan.chance if index in known]
        if len(chance) < 10:
            notes.append(f"no choice test, no KID: only {len(chance)} photos can be read ({album.kind})")
        else:
            by_chance = np.stack([known[index] for index in chance])
            space = make_space(by_chance, eye.widths)
            kid = kernel_distance(
                torch.from_numpy(space.deepest(seen)), torch.from_numpy(space.deepest(by_chance)), seed=settings.seed
            )
            _merge(rows, [{"spectrum": value} for value in _spectrum(plan, spectra)])
            if case.search is not None:
                order = sorted(known)
                directions = space.place(np.stack([known[index] for index in order]))
                size = case.manifest["backbone"]["image_size"]
                rows_of = {index: row for row, index in enumerate(order)}
                photos = Photos(directions, rows_of, case.search, blank_directions(eye, space, size))
                noise = noise_directions(eye, space, size, settings.seed)
                _merge(rows, choice_columns(case.records, space.place(seen), noise, photos, settings.seed))
    else:
        notes.append("no choice test, no KID and no spectrum: give search=FOLDER of the run's model (or data=)")
    classes, unmatched = classes_of(case, eye)
    _merge(rows, transfer_columns(case.records, logits, classes))
    _merge(rows, gate_columns(case.records, case.search, case.same_tokens))
    if case.search is not None and not case.same_tokens:
        notes.append("no gate: the search read units from other tokens than the fit")
    for row, value in zip(rows, agreement_column(case.records, seen, eye.widths), strict=True):
        row["agreement"] = value
    for row, value in zip(rows, verdict_column(case.records, rows), strict=True):
        row["judge"] = value
    about = {
        "judge": eye.identity,
        "asked": plan.asked,
        "photos": None if album is None else album.kind,
        "search": None if case.search is None else str(case.search.path),
        "unmatched_classes": unmatched,
        "kid": None if kid is None else {"mean": kid[0], "spread": kid[1]},
        "notes": notes,
    }
    return write_judgement(case, eye.name, rows, about)


def _merge(rows: list[dict[str, Any]], more: Sequence[dict[str, Any]]) -> None:
    for row, columns in zip(rows, more, strict=True):
        row.update(columns)


def _read_pictures(plan: _Plan, eye: Eye) -> tuple[list[dict[str, Any]], np.ndarray, np.ndarray | None, np.ndarray]:
    """Return rows with the measures that need no photos, features, logits and spectra, in the order of the records."""
    rows: list[dict[str, Any]] = [{} for _ in plan.case.records]
    arrays: dict[str, dict[int, np.ndarray]] = {"features": {}, "logits": {}, "spectrum": {}}
    for job, places in plan.picture_jobs:
        found = read_job(job)
        for number, place in enumerate(places):
            row = rows[place]
            row["clipped"] = float(found["clipped"][number])
            row["seam"] = _number(found["seam"][number]) if "seam" in found else None
            kept = {name: _number(found[f"kept/{name}"][number]) for name in CHANGES if f"kept/{name}" in found}
            known = [value for value in kept.values() if value is not None]
            row["kept"] = sum(known) / len(known) if known else None
            row.update({f"kept_{name}": kept.get(name) for name in CHANGES})
            for name, key in (
                ("features", f"features/{eye.name}"),
                ("logits", f"logits/{eye.name}"),
                ("spectrum", "spectrum"),
            ):
                if key in found:
                    arrays[name][place] = found[key][number]
    order = range(len(rows))
    logits = np.stack([arrays["logits"][place] for place in order]) if arrays["logits"] else None
    return (
        rows,
        np.stack([arrays["features"][place] for place in order]),
        logits,
        np.stack([arrays["spectrum"][place] for place in order]),
    )


def _photo_features(plan: _Plan, eye: Eye) -> dict[int, np.ndarray]:
    """Return what the eye saw in photos, now and before, and keep it for the next time."""
    assert plan.album is not None
    cache = plan.album.cache_path(eye.name, eye.identity)
    known = plan.album.read(cache)
    fresh = [read_job(job) for job in plan.photo_jobs[eye.name] if job.path.is_file()]
    for found in fresh:
        known.update(zip(found["index"].tolist(), found["features"], strict=True))
    if fresh and known:
        plan.album.write(cache, known)
    return known


def _spectrum(plan: _Plan, spectra: np.ndarray) -> list[float | None]:
    """Return how far each picture's spectrum is from that of photos as the run's model sees them, dB."""
    album, backbone = plan.album, plan.case.backbone
    assert album is not None
    seen = []
    for index in plan.chance[:_SPECTRA]:
        try:
            if backbone is not None and backbone.channels == 3 and album.source is not None:
                seen.append(backbone.transform()(album.load(index)))
            else:
                seen.append(as_tensor(album.thumb(index)))
        except UnusableImage:
            continue
    size = tuple(int(side) for side in plan.case.manifest["backbone"]["image_size"])
    seen = [photo for photo in seen if tuple(photo.shape[-2:]) == size]
    if not seen:
        return [None] * len(spectra)
    photos = radial_spectrum(torch.stack(seen))
    return [float(value) for value in spectrum_distance(torch.from_numpy(spectra), photos)]


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
