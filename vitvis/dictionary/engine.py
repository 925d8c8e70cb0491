"""A whole training: open, stream, train, measure, save; a killed one goes on after the last round that was kept."""

from __future__ import annotations

import json
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from safetensors.torch import save
from torch import Tensor

from vitvis.backbones import Backbone, Site, load_backbone, select_tokens
from vitvis.config import to_container
from vitvis.data.kinds import open_source
from vitvis.data.loader import ModelView, Share, make_loader
from vitvis.data.passes import make_trainer
from vitvis.data.source import Source
from vitvis.dictionary.module import DictionaryTraining
from vitvis.dictionary.settings import DictionarySettings
from vitvis.errors import VitvisError
from vitvis.launch.cores import count_cores
from vitvis.launch.isolation import isolated
from vitvis.launch.loggers import build_loggers, close_loggers, log_summary
from vitvis.launch.progress import Progress
from vitvis.launch.ranks import trainer_arguments
from vitvis.launch.settings import TrainerSettings
from vitvis.runs import RunFolder, model_folder, read_json, recipe_hash, site_folder, to_csv

__all__ = ["Trained", "train"]

WEIGHTS, CONFIG, SUMMARY, CURVES = "sae_weights.safetensors", "cfg.json", "summary.json", "metrics.csv"
_CHECKPOINT = "resume/training.ckpt"
#: What names a training: all that decides the numbers it ends with.
_RECIPE = (
    "data", "split", "limit", "site", "tokens", "expansion", "k", "images", "repeats", "batch", "round", "holdout",
    "lr", "decay", "dead_after", "revive", "seed",
)  # fmt: skip


@dataclass(frozen=True)
class Trained:
    """A dictionary that was trained.

    Attributes:
        path: Its folder; `SITE@PATH:0-7` are latents of it.
        summary: `explained_variance`, `l0` and `dead_share` on images that were held out, and what it took.
    """

    path: Path
    summary: dict[str, Any]


@dataclass(frozen=True)
class _Course:
    """Which images are trained on, in which order and in what portions.

    Attributes:
        held_out: int64, never trained on.
        order: int64 `[images]`, dataset indices, each round's ascending: so that a round reads each file once.
        batch_size: images a forward pass.
        batches: of photos, a round.
        steps: that the whole training takes.
    """

    held_out: np.ndarray
    order: np.ndarray
    batch_size: int
    batches: int
    steps: int


@isolated
def train(settings: DictionarySettings) -> Trained:
    """Train a dictionary, or go on with one that was killed.

    Raises:
        VitvisError: something that was asked for isn't there, or the folder holds another run.
    """
    source = open_source(settings.data, split=settings.split, limit=settings.limit, regions="none")
    if not source.random_access or source.length is None:
        raise VitvisError(f"data={settings.data}: is a stream; a dictionary is trained on images in random order")
    backbone = load_backbone(settings.model, settings.weights, settings.image_size)
    site = backbone.site(settings.site)
    tokens = int(select_tokens(torch.zeros(1, site.tokens, 1), site, settings.tokens).shape[1])
    place = TrainerSettings(accelerator=settings.trainer.accelerator, devices=1, precision="32-true")
    course = _plan(settings, source, tokens, on_gpu=trainer_arguments(place)["accelerator"] == "cuda")
    module = DictionaryTraining(backbone, site, settings, course.steps)
    identity, out = _identity(settings, backbone, site, source)
    with RunFolder.open(out, kind="dictionary", settings=to_container(settings), identity=identity) as folder:
        if all(folder.is_whole(name) for name in (WEIGHTS, CONFIG, SUMMARY)):
            return Trained(out, _summary(folder))
        seconds = _run(settings, module, source, course, place, folder)
        module.eval()
        held = [batch.images for batch in _loader(settings, source, backbone, course, course.held_out) if len(batch)]
        if not held:
            raise VitvisError(f"data={settings.data}: none of the images that were held out can be read")
        found = module.measure(torch.cat([module.read(images.to(module.device)) for images in held]))
        about = {
            "latents": module.latents,
            "images": settings.images,
            "tokens": settings.images * tokens,
            "held_out": sum(len(images) for images in held),
            "seconds": round(seconds, 1),
        }
        _save(folder, module, backbone, settings, found | about)
        return Trained(out, _summary(folder))


def _summary(folder: RunFolder) -> dict[str, Any]:
    return dict(read_json(folder.path / SUMMARY))


def _plan(settings: DictionarySettings, source: Source, tokens: int, *, on_gpu: bool) -> _Course:
    length = int(source.length or 0)
    if settings.holdout >= length:
        raise VitvisError(f"holdout={settings.holdout}: leaves nothing of the {length} images to train on")
    shuffled = np.random.default_rng(settings.seed).permutation(length)
    held_out, rest = np.sort(shuffled[: settings.holdout]), shuffled[settings.holdout :]
    passes = -(-settings.images // len(rest))
    order = np.concatenate(
        [np.random.default_rng((settings.seed, number)).permutation(rest) for number in range(passes)]
    )[: settings.images]
    batch_size = settings.batch_size or (256 if on_gpu else 64)
    batches = max(1, settings.round // (batch_size * tokens))
    portion = batches * batch_size
    portions = [np.sort(order[start : start + portion]) for start in range(0, len(order), portion)]
    steps = settings.repeats * sum(-(-len(part) * tokens // settings.batch) for part in portions)
    return _Course(held_out, np.concatenate(portions), batch_size, batches, steps)


def _identity(
    settings: DictionarySettings, backbone: Backbone, site: Site, source: Source
) -> tuple[dict[str, Any], Path]:
    recipe = {name: getattr(settings, name) for name in _RECIPE} | {"images_there": source.length}
    if site.dictionary is not None:
        recipe["dictionary"] = site.dictionary.digest
    unique = recipe_hash(recipe | {"backbone": backbone.weights_id})
    name = f"dictionary-{model_folder(backbone.name)}-{site_folder(site.name)}-{unique}"
    out = Path(settings.out) if settings.out else Path("out") / name
    return {"backbone": backbone.described([site]), "recipe": recipe, "recipe_hash": recipe_hash(recipe)}, out


def _loader(
    settings: DictionarySettings,
    source: Source,
    backbone: Backbone,
    course: _Course,
    indices: np.ndarray,
    done: int = 0,
) -> Any:
    """Return batches of photos, those before `done` left out."""
    workers = settings.workers if settings.workers is not None else min(2, count_cores() // 2)
    share = Share(done=range(done))
    view = ModelView(backbone.transform())
    return make_loader(
        source, view, batch_size=course.batch_size, workers=workers, share=share, indices=indices, objects=False
    )


class _Keep(pl.Callback):
    """Writes curves and a checkpoint after a whole round, where it is time to, and says how far the training is."""

    def __init__(self, folder: RunFolder, settings: DictionarySettings, rows: list[dict[str, Any]], done: int) -> None:
        self.folder, self.every, self.rows = folder, settings.trainer.checkpoint_every, rows
        self.progress = Progress(settings.images, "images", settings.trainer.progress, done=done)
        self._saved, self._rounds = time.monotonic(), len(rows)

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        note = ""
        if module.curves:
            note = f"explained {module.curves['explained_variance']:.3f}, dead {module.curves['dead_share']:.1%}"
        self.progress.advance(batch.size, note=note)
        if module.rounds == self._rounds:
            return
        self._rounds = module.rounds
        self.rows.append({"round": module.rounds, "step": module.step, **module.curves})
        if self.every and time.monotonic() - self._saved >= self.every:
            state = module.state() | {"rows": self.rows, "batch": batch.number + 1}
            self.folder.save_checkpoint(_CHECKPOINT, state)
            self._saved = time.monotonic()

    def on_exception(self, trainer: pl.Trainer, pl_module: Any, exception: BaseException) -> None:
        self.progress.close()


def _run(
    settings: DictionarySettings,
    module: DictionaryTraining,
    source: Source,
    course: _Course,
    place: TrainerSettings,
    folder: RunFolder,
) -> float:
    """Train, from where a checkpoint stands; return the seconds that this process took."""
    kept = folder.load_checkpoint(_CHECKPOINT) or {}
    rows: list[dict[str, Any]] = list(kept.get("rows", []))
    done = int(kept.get("batch", 0))
    if kept:
        module.load_state(kept)
    module.batches_a_round = course.batches
    keep = _Keep(folder, settings, rows, min(done * course.batch_size, len(course.order)))
    loggers = build_loggers(settings.logger, folder.path, to_container(settings))
    begun = time.perf_counter()
    trainer = make_trainer(place, max_epochs=1, logger=loggers or False, callbacks=[keep])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*in eval mode at the start of training.*")  # the frozen backbone
        trainer.fit(module, _loader(settings, source, module.backbone, course, course.order, done))
    keep.progress.close()
    folder.write_text(CURVES, to_csv(rows))
    log_summary(loggers, module.curves)
    close_loggers(loggers)
    return time.perf_counter() - begun


def _save(
    folder: RunFolder,
    module: DictionaryTraining,
    backbone: Backbone,
    settings: DictionarySettings,
    summary: dict[str, Any],
) -> None:
    """Write the dictionary in SAELens' layout (version 6), which says of a site what it can."""
    tensors: dict[str, Tensor] = module.tensors()
    config = {
        "architecture": "topk",
        "k": settings.k,
        "rescale_acts_by_decoder_norm": False,
        "d_in": module.site.width,
        "d_sae": module.latents,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {
            "model_name": backbone.name,
            "hook_name": module.site.name,
            "weights_id": backbone.weights_id,
            "dataset_path": settings.data,
            "tokens": settings.tokens,
            "trained_by": "vitvis.dictionary",
            **{name: summary[name] for name in ("explained_variance", "l0", "dead_share")},
        },
    }
    folder.write_bytes(WEIGHTS, save(tensors))
    folder.write_text(CONFIG, json.dumps(config, indent=1))
    folder.write_json(SUMMARY, summary)
    folder.remove("resume")
