"""One run: models and data in, a folder of tables and charts out."""

from __future__ import annotations

import csv
import io
from typing import Any

from pytorch_lightning import Trainer

from vitvis.backbones import Backbone, load_backbone
from vitvis.config.core import to_container
from vitvis.data.labelled import Source
from vitvis.data.labels import make_label_map
from vitvis.data.layouts import KINDS, open_source
from vitvis.errors import VitvisError
from vitvis.evaluate.datamodule import EvaluationDataModule, mean_colour
from vitvis.evaluate.dataset import VariantPlan
from vitvis.evaluate.masking import check_fills
from vitvis.evaluate.module import Contender, EvaluationModule, transform_key
from vitvis.evaluate.partial import Partial
from vitvis.evaluate.predictions import Predictions, decode_predictions, encode_predictions, predictions_path
from vitvis.evaluate.probes import LowpassProbe, MasksProbe, Probe, TokensProbe
from vitvis.evaluate.probes.tokens import token_grid
from vitvis.evaluate.report import clean, to_csv, to_markdown
from vitvis.evaluate.results import make_charts, make_results
from vitvis.evaluate.settings import EvaluateSettings
from vitvis.evaluate.trainer import make_trainer
from vitvis.runs import RunFolder, digest

__all__ = ["evaluate"]

#: Seconds of work that a run loses at most when it is killed.
KEEP_EVERY = 60.0


def evaluate(settings: EvaluateSettings) -> dict[str, Any] | None:
    """Measure models on data and leave the results in a run folder.

    Models whose predictions lie in the folder already, made with the same weights, data and settings, are not
    asked again. A run that was killed goes on from the images it had measured.

    Returns:
        What `results.json` holds; None on ranks other than 0.

    Raises:
        VitvisError: no data, a model or a path that is not there, classes that do not match, NaN logits.
    """
    if not settings.data:
        raise VitvisError(f"give data=KIND:PATH, such as data=imagenet:/data/ILSVRC (kinds: {', '.join(KINDS)})")
    check_settings(settings)
    source = open_source(settings.data, settings.split, settings.label_file)
    if source.variants is not None and settings.probe != "masks":  # other probes ask about images as they are
        first = source.variants[0]
        source.entries = [entry for entry in source.entries if entry.variant == first]
    contenders = load_contenders(settings, source)
    plan = make_plan(settings, source)
    probe = make_probe(settings, plan)
    for contender in contenders:
        probe.check(contender.backbone)
    identity = make_identity(settings, source, plan)
    out = settings.out or f"out/evaluate-{settings.probe}-{digest(identity, 8)}"
    trainer = make_trainer(settings.trainer)
    primary = trainer.global_rank == 0
    resolved, whole = to_container(settings), {"evaluate": identity}
    with RunFolder.open(out, kind="evaluate", settings=resolved, identity=whole, primary=primary) as folder:
        prints = {contender.name: {**identity, **fingerprint(contender, settings)} for contender in contenders}
        known: dict[str, Predictions] = {}
        for contender in contenders:
            found = decode_predictions(folder.path / predictions_path(contender.name), prints[contender.name])
            if found is not None:
                known[contender.name] = found
        missing = [contender for contender in contenders if contender.name not in known]
        if missing:
            known |= measure(settings, trainer, missing, source, plan, probe, folder, prints)
        if not primary:
            return None
        predictions = {contender.name: known[contender.name] for contender in contenders}
        results = make_results(settings, source, contenders, predictions, plan, folder)
        results["out"] = str(folder.path)
        write_results(folder, settings, results)
        return results


def check_settings(settings: EvaluateSettings) -> None:
    """Object to settings that would fail only after everything is measured."""
    if len(settings.box_sizes) != 2 or not settings.box_sizes[0] <= settings.box_sizes[1]:
        raise VitvisError(
            f"box_sizes={settings.box_sizes}: give two shares, the smaller first, such as box_sizes=[0.1,0.4]"
        )
    if settings.probe == "masks" and not settings.variants:
        raise VitvisError("variants=[]: give at least one of full, foreground, background")
    if settings.probe == "lowpass" and not settings.radii:
        raise VitvisError("radii=[]: give at least one cut-off, in cycles per image, such as radii=[4,8,16]")


def load_contenders(settings: EvaluateSettings, source: Source) -> list[Contender]:
    """Load the models, and match their classes with those of the data."""
    if not settings.models:
        raise VitvisError("models=[] names no model")
    if len(settings.weights) not in (1, len(settings.models)):
        raise VitvisError(
            f"weights: {len(settings.weights)} given for {len(settings.models)} models; give one, or one each"
        )
    size = settings.image_size
    size = (size, size) if isinstance(size, int) else tuple(size) if size else None
    weights = settings.weights * (len(settings.models) if len(settings.weights) == 1 else 1)
    contenders: list[Contender] = []
    for name, origin in zip(settings.models, weights, strict=True):
        backbone = load_backbone(name, weights=origin, image_size=size)
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
        return VariantPlan(tuple(own), own=True, seed=settings.seed)
    if settings.probe != "masks":
        return VariantPlan(("full",), (), seed=settings.seed)
    if not settings.fill and set(settings.variants) != {"full"}:
        raise VitvisError("fill=[]: give at least one fill, such as fill=black")
    check_fills(settings.fill)
    mean = mean_colour(source) if "mean" in settings.fill else (0.5, 0.5, 0.5)
    return VariantPlan(tuple(settings.variants), tuple(dict.fromkeys(settings.fill)), mean, settings.seed)


def make_probe(settings: EvaluateSettings, plan: VariantPlan) -> Probe:
    """Return what is asked of each model."""
    if settings.probe == "lowpass":
        return LowpassProbe(settings.radii)
    return TokensProbe() if settings.probe == "tokens" else MasksProbe(plan)


def make_identity(settings: EvaluateSettings, source: Source, plan: VariantPlan) -> dict[str, Any]:
    """Return all that decides the predictions of a model, but the model."""
    listing = [[entry.key, entry.label, entry.variant] for entry in source.entries]
    return {
        "data": str(settings.data),
        "split": settings.split,
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
    plan: VariantPlan,
    probe: Probe,
    folder: RunFolder,
    prints: dict[str, dict[str, Any]],
) -> dict[str, Predictions]:
    """Ask models about all images, and keep what they said in the folder."""
    transforms = {transform_key(contender.backbone): contender.backbone.transform() for contender in contenders}
    data = EvaluationDataModule(
        source,
        plan,
        transforms,
        batch_size=max(1, settings.batch_size // (1 if plan.own else len(plan.names))),
        workers=settings.workers,
        limit=settings.limit,
    )
    module = EvaluationModule(contenders, probe, source)
    parts = [prints[contender.name] for contender in contenders]
    rank, world = trainer.global_rank, trainer.world_size
    partial = Partial(folder.path, parts, rank=rank, world=world, every=KEEP_EVERY)
    partial.restore(module, data)
    trainer.callbacks.append(partial)  # type: ignore[attr-defined]
    trainer.test(module, datamodule=data, verbose=False)
    made = {}
    for contender, (rows, positions) in zip(contenders, module.results, strict=True):
        grid = token_grid(contender.backbone) if settings.probe == "tokens" else (0, 0)
        made[contender.name] = Predictions.from_rows(rows, positions, probe.names(contender.backbone), grid)
    if trainer.global_rank != 0:
        return made
    if not any(len(item.entry) for item in made.values()):
        reason = module.skipped[0][1] if module.skipped else "no images"
        raise VitvisError(f"data={settings.data}: none of {len(data.indices)} images could be used (first: {reason})")
    skipped = source.skipped + [(source.entries[index].key, reason) for index, reason in module.skipped]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("image", "reason"), *skipped])
    folder.write_text("skipped.csv", text.getvalue())
    folder.write_json("counts.json", dict(source.counts + module.counts))
    for name, item in made.items():
        folder.write_bytes(predictions_path(name), encode_predictions(item, source, prints[name]))
    partial.discard()
    return made


def write_results(folder: RunFolder, settings: EvaluateSettings, results: dict[str, Any]) -> None:
    """Write tables and chart, each atomically, the JSON last."""
    folder.write_text("results.csv", to_csv(results["rows"]))
    folder.write_text("per_class.csv", to_csv(results["per_class"]))
    folder.write_text("results.md", to_markdown(results))
    folder.write_bytes("results.png", make_charts(settings, results))
    folder.write_json("results.json", clean(results))
    if "wandb" in settings.logger.kind:
        from vitvis.evaluate.wandb import log_results

        log_results(settings, folder.path, results)
