"""One run: models and data in, a folder of tables and charts out."""

from __future__ import annotations

from collections import Counter
from dataclasses import astuple, replace
from typing import Any

import numpy as np
from pytorch_lightning import Trainer

from vitvis.backbones import Backbone, load_backbone
from vitvis.config.core import to_container
from vitvis.data.kinds import open_source
from vitvis.data.labels import make_label_map
from vitvis.data.parts import FOLDER as PARTS
from vitvis.data.passes import join_shards, make_trainer, run_pass
from vitvis.data.photo import UnusableImage
from vitvis.data.source import Source
from vitvis.errors import VitvisError
from vitvis.evaluate.masking import check_fills
from vitvis.evaluate.module import Contender, EvaluationPass, transform_key
from vitvis.evaluate.predictions import Predictions, decode_predictions, encode_predictions, predictions_path
from vitvis.evaluate.probes import LowpassProbe, MasksProbe, Probe, TokensProbe
from vitvis.evaluate.probes.tokens import token_grid
from vitvis.evaluate.report import clean, to_markdown
from vitvis.evaluate.results import make_charts, make_results
from vitvis.evaluate.settings import EvaluateSettings
from vitvis.evaluate.variants import VariantPlan
from vitvis.launch.cores import count_cores
from vitvis.launch.isolation import isolated
from vitvis.launch.shards import Shard, nothing_to_join
from vitvis.runs import RunFolder, check_folder, digest, to_csv

__all__ = ["evaluate"]

#: Seconds of work that a run loses at most when it is killed.
KEEP_EVERY = 60.0


@isolated
def evaluate(settings: EvaluateSettings) -> dict[str, Any] | None:
    """Measure models on data and leave the results in a run folder.

    Models whose predictions lie in the folder already, made with the same weights, data and settings, are not
    asked again. A run that was killed goes on from the images it had measured.

    Returns:
        What `results.json` holds; None on ranks other than 0.

    Raises:
        VitvisError: no data, a model or a path that is not there, classes that do not match, NaN logits.
    """
    if settings.out:
        check_folder(settings.out, "evaluate")
    source = open_source(settings.data, split=settings.split, label_file=settings.label_file, regions=settings.regions)
    photos = choose_photos(settings, source)
    contenders = load_contenders(settings, source)
    plan = make_plan(settings, source)
    probe = make_probe(settings, plan)
    for contender in contenders:
        probe.check(contender.backbone)
    identity = make_identity(settings, source, photos, plan)
    out = settings.out or f"out/evaluate-{settings.probe}-{digest(identity, 8)}"
    trainer = make_trainer(settings.trainer, alone=bool(settings.shard or settings.finish))
    primary = trainer.is_global_zero
    if settings.finish and check_folder(out, "evaluate") is None:
        raise nothing_to_join(out)
    plain = replace(settings, shard=None, finish=False)
    place: dict[str, Any] = {"kind": "evaluate", "settings": to_container(plain), "identity": {"evaluate": identity}}
    shard = Shard.of(settings.shard).name if settings.shard else ""
    with RunFolder.open(out, primary=primary, shard=shard, **place) as folder:
        prints = {contender.name: {**identity, **fingerprint(contender, settings)} for contender in contenders}
        known: dict[str, Predictions] = {}
        for contender in contenders:
            path = predictions_path(contender.name)
            found = decode_predictions(folder.path / path, prints[contender.name]) if folder.is_whole(path) else None
            if found is not None:
                known[contender.name] = found
        missing = [contender for contender in contenders if contender.name not in known]
        if missing:
            made = measure(settings, trainer, missing, source, photos, plan, probe, folder, prints)
            if made is None:
                return None
            known |= made
        if shard:
            folder.close()
            return join_shards(folder.path, evaluate, replace(plain, out=str(out), finish=True))
        if not primary:
            return None
        predictions = {contender.name: known[contender.name] for contender in contenders}
        skipped = predictions[contenders[0].name].skipped
        folder.write_text("skipped.csv", to_csv(skipped, ("image", "reason")))
        results = make_results(settings, source, contenders, predictions, plan)
        results["out"] = str(folder.path)
        write_results(folder, settings, results)
        return results


def choose_photos(settings: EvaluateSettings, source: Source) -> np.ndarray:
    """Return the dataset indices of the photos to measure, ascending: all usable ones, or `limit` drawn by seed.

    Raises:
        VitvisError: there is none, or what is asked for needs what the data lacks.
    """
    if not source.random_access:
        raise VitvisError(
            f"{source.spec}: is a stream; vitvis.evaluate needs any photo at any time (hfds, parquet, ...)"
        )
    masked = settings.probe == "masks" and set(settings.variants) != {"full"}
    if masked and not source.has_objects and source.variants is None:
        raise VitvisError(
            f"{source.spec}: has no boxes or masks, which foreground and background need;"
            " give regions=polygons:FOLDER or masks:FOLDER, or variants=full"
        )
    photos = source.measurable
    if source.variants is not None and settings.probe != "masks":  # other probes ask about images as they are
        photos = np.array([index for index in photos if source.entry(index).variant == source.variants[0]], np.int64)
    if not len(photos):
        reasons = Counter(source.faults.values()).most_common(1)
        why = source.unlabelled or (reasons[0][0] if reasons else "none has a class")
        raise VitvisError(f"{source.spec}: none of {source.length} photos can be measured ({why})")
    if settings.limit is not None and settings.limit < len(photos):
        photos = np.sort(photos[np.random.default_rng(settings.seed).permutation(len(photos))[: settings.limit]])
    return photos


def load_contenders(settings: EvaluateSettings, source: Source) -> list[Contender]:
    """Load the models, and match their classes with those of the data."""
    contenders: list[Contender] = []
    for name, origin in settings.contenders:
        backbone = load_backbone(name, weights=origin, image_size=settings.image_size)
        if backbone.channels != 3:
            raise VitvisError(f"models: {name} takes {backbone.channels} channels; evaluate masks and fills RGB photos")
        if settings.crop_pct is not None:
            backbone.eval_settings["crop_pct"] = settings.crop_pct
        taken = {contender.name for contender in contenders}
        shown = name if name not in taken else f"{name}@{backbone.weights_id[:6]}"
        if shown in taken:
            raise VitvisError(f"models: {name} is given twice with the same weights")
        contenders.append(Contender(shown, backbone, make_label_map(backbone, source, settings.labels)))
    return contenders


def make_plan(settings: EvaluateSettings, source: Source) -> VariantPlan:
    """Say what is made of each image."""
    own = source.variants
    if own is not None:
        return VariantPlan(tuple(own), own=True, seed=settings.seed, objects=False)
    if settings.probe != "masks":
        return VariantPlan(("full",), (), seed=settings.seed, objects=source.has_objects)
    check_fills(settings.fill)
    mean = mean_colour(source, source.measurable) if "mean" in settings.fill else (0.5, 0.5, 0.5)
    fills = tuple(dict.fromkeys(settings.fill))
    return VariantPlan(tuple(settings.variants), fills, mean, settings.seed, objects=source.has_objects)


def mean_colour(source: Source, photos: np.ndarray, count: int = 256) -> tuple[float, float, float]:
    """Return the mean colour of the data in [0, 1], over up to so many of its photos, evenly spaced."""
    colours = []
    for place in np.unique(np.linspace(0, len(photos) - 1, min(count, len(photos))).astype(int)):
        try:
            image = source.read(int(photos[place]), objects=False).image
        except UnusableImage:
            continue
        colours.append(np.asarray(image).reshape(-1, 3).mean(axis=0) / 255)
    red, green, blue = np.mean(colours, axis=0) if colours else (0.5, 0.5, 0.5)
    return float(red), float(green), float(blue)


def make_probe(settings: EvaluateSettings, plan: VariantPlan) -> Probe:
    """Return what is asked of each model."""
    if settings.probe == "lowpass":
        return LowpassProbe(settings.radii)
    return TokensProbe() if settings.probe == "tokens" else MasksProbe(plan)


def make_identity(settings: EvaluateSettings, source: Source, photos: np.ndarray, plan: VariantPlan) -> dict[str, Any]:
    """Return all that decides the predictions of a model, but the model."""
    entries = (source.entry(int(index)) for index in photos)
    listing = [[entry.index, entry.key, entry.label, entry.variant] for entry in entries]
    return {
        "data": str(settings.data),
        "split": settings.split,
        "regions": settings.regions,
        "listing": digest(listing, 12),
        "limit": settings.limit,
        "probe": settings.probe,
        "variants": list(plan.names),
        "mean": [round(value, 6) for value in plan.mean],
        "radii": sorted(settings.radii) if settings.probe == "lowpass" else None,
        "seed": settings.seed,
    }


def fingerprint(contender: Contender, settings: EvaluateSettings) -> dict[str, Any]:
    """Return what tells a model's predictions from another's."""
    backbone: Backbone = contender.backbone
    return {
        "model": contender.name,
        "weights_id": backbone.weights_id,
        "transform": transform_key(backbone),
        "labels": digest([contender.labels.groups, contender.labels.classes], 12),
        "precision": settings.trainer.precision,
    }


def measure(
    settings: EvaluateSettings,
    trainer: Trainer,
    contenders: list[Contender],
    source: Source,
    photos: np.ndarray,
    plan: VariantPlan,
    probe: Probe,
    folder: RunFolder,
    prints: dict[str, dict[str, Any]],
) -> dict[str, Predictions] | None:
    """Ask models about photos, and keep what they said in the folder.

    Returns:
        On rank 0, what all of them said, nothing on others; None where this is a shard and others are missing.
    """
    module = EvaluationPass(
        contenders,
        probe,
        source,
        plan,
        folder.path,
        digest([prints[contender.name] for contender in contenders], 16),
        batch_size=max(1, settings.batch_size // (1 if plan.own else len(plan.names))),
        workers=max(0, min(count_cores() - 1, 16)) if settings.workers is None else settings.workers,
        indices=photos,
        keep_seconds=KEEP_EVERY,
        progress=settings.trainer.progress,
        shard=astuple(Shard.of(settings.shard)) if settings.shard else None,
    )
    run_pass(trainer, module, finish=settings.finish)
    if settings.shard and not module.is_complete():
        return None
    if settings.shard or not trainer.is_global_zero:
        return {}
    made, tables = {}, module.joined()
    skipped = [*sorted(source.faults.items()), *((index, reason) for index, _, reason in module.skipped)]
    listed = [(source.key(index), reason) for index, reason in skipped]
    counts = dict(source.counts + module.counts)
    for contender, (rows, positions) in zip(contenders, tables, strict=True):
        grid = token_grid(contender.backbone) if settings.probe == "tokens" else (0, 0)
        made[contender.name] = Predictions.from_rows(rows, positions, probe.names(contender.backbone), grid)
        made[contender.name].skipped, made[contender.name].counts = listed, counts
    if not any(len(item.entry) for item in made.values()):
        reason = listed[0][1] if listed else "no images"
        raise VitvisError(f"{source.spec}: none of {len(photos)} images could be used (first: {reason})")
    for name, item in made.items():
        folder.write_bytes(predictions_path(name), encode_predictions(item, source, prints[name]))
    folder.remove(PARTS)
    return made


def write_results(folder: RunFolder, settings: EvaluateSettings, results: dict[str, Any]) -> None:
    """Write tables and chart, each atomically, the JSON last."""
    folder.write_text("results.csv", to_csv(results["rows"], digits=_six))
    folder.write_text("per_class.csv", to_csv(results["per_class"], digits=_six))
    folder.write_text("results.md", to_markdown(results))
    folder.write_bytes("results.png", make_charts(settings, results))
    folder.write_json("results.json", clean(results))
    if "wandb" in settings.logger.kind:
        from vitvis.evaluate.wandb import log_results

        log_results(settings, folder.path, results)


def _six(value: float) -> float:
    return round(value, 6)
