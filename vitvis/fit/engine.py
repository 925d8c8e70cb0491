"""A whole fit: from settings to a run folder with images, records and a contact sheet."""

from __future__ import annotations

import json
import logging
import os
import shlex
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pytorch_lightning import Trainer

from vitvis import __version__
from vitvis.backbones import Backbone, Unit, load_backbone, resolve_units
from vitvis.config.core import to_container
from vitvis.draw.sheet import draw_sheets, rows_of_records
from vitvis.errors import VitvisError
from vitvis.fit.callbacks import ImagesOverTime, Results, merge_metrics
from vitvis.fit.chunks import Chunk, plan_chunks, without
from vitvis.fit.datamodule import UnitDataModule
from vitvis.fit.memory import choose_chunk, measure_chunk
from vitvis.fit.module import ActivationMaximization
from vitvis.fit.recipe import recipe_of
from vitvis.fit.settings import FitSettings
from vitvis.launch.loggers import build_loggers, close_loggers, log_images, log_summary
from vitvis.launch.progress import Progress
from vitvis.launch.ranks import IndependentStrategy, own, trainer_arguments
from vitvis.runs import RunFolder, command_line, digest, recipe_hash, save_png
from vitvis.runs.manifest import read_manifest
from vitvis.runs.summary import summarize

if TYPE_CHECKING:
    from pytorch_lightning import Callback

__all__ = ["Fit", "run_fit"]


def run_fit(settings: FitSettings, callbacks: Sequence[Callback] = ()) -> Fit:
    """Make the images that `settings` ask for, except those that the run folder holds already.

    Args:
        settings: Everything about the run.
        callbacks: More of Lightning's callbacks, called after vitvis's own.

    Returns:
        The run, with its `records`; on ranks other than 0 it holds those of that moment.

    Raises:
        VitvisError: settings that can't be followed; nothing is written then.
    """
    fit = Fit(settings)
    fit.run(callbacks)
    return fit


class Fit:
    """One run of `vitvis.fit`: everything is checked in the constructor, everything is written by `run`.

    Attributes:
        settings: As given.
        backbone: The model under study.
        units: The units that are asked for.
        recipe: What decides the images, and `hash`, its name.
        path: The run folder.
        device: Where this process works (the first device, where there are several).
        precision: `32-true` or `bf16-mixed`.
        chunk_size: Images that are optimised together.
        primary: Whether this process is rank 0.
        made: How many images this process made.
    """

    def __init__(self, settings: FitSettings) -> None:
        self.settings = settings
        if settings.trainer.threads:
            torch.set_num_threads(settings.trainer.threads)
        arguments = trainer_arguments(settings.trainer)
        with warnings.catch_warnings(record=True) as caught, torch.random.fork_rng(devices=[]):
            warnings.simplefilter("always", UserWarning)
            torch.manual_seed(0)  # random weights are to be the same ones on every rank and after a restart
            self.backbone: Backbone = load_backbone(settings.model, settings.weights, _size(settings.image_size))
        self.warnings = [str(item.message) for item in caught if settings.model in str(item.message)]
        self.units: list[Unit] = resolve_units(settings.units, self.backbone, seed=settings.seeds[0])
        self.recipe = recipe_of(settings)
        self.hash = recipe_hash(self.recipe)
        self.path = Path(settings.out or f"out/{_slug(settings.model)}-{digest(self._identity(), 8)}")
        accelerator = str(arguments["accelerator"])
        self.device = torch.device("cuda" if accelerator in ("gpu", "cuda") else accelerator)
        self.precision = str(arguments["precision"])
        self.chunk_size = settings.chunk or self._chunk_before() or self._choose_chunk(arguments)
        self.module = ActivationMaximization(self.backbone, self.plan(), settings)
        _quiet()
        self.trainer = Trainer(
            **arguments,
            logger=False,
            max_epochs=1,
            log_every_n_steps=settings.logger.every,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            default_root_dir=str(self.path),
        )
        self.primary = self.trainer.global_rank == 0
        self.made = 0
        self.records: list[dict[str, Any]] = []
        self.summary: dict[str, float] = {}
        self.sheet: Path | None = None

    def run(self, callbacks: Sequence[Callback] = ()) -> None:
        """Do what is missing in the folder, then draw the sheet."""
        with self._open() as folder:
            done = folder.done()
            chunks = [without(chunk, done) for chunk in own(self.plan(), self.trainer.global_rank, self.processes)]
            chunks = [chunk for chunk in chunks if chunk.units]
            self.made = sum(len(chunk.units) for chunk in chunks)
            if self.primary:
                for warning in self.warnings:
                    logging.getLogger("vitvis").warning(warning)
            loggers = (
                build_loggers(self.settings.logger, self.path, to_container(self.settings)) if self.primary else []
            )
            try:
                self._fit(folder, chunks, loggers, callbacks)
                if self.primary:
                    self._finish(folder, loggers)
            finally:
                close_loggers(loggers)
            self.records = folder.records()

    def _fit(self, folder: RunFolder, chunks: list[Chunk], loggers: list[Any], callbacks: Sequence[Callback]) -> None:
        trainer, settings = self.trainer, self.settings
        common = {"backbone": self.backbone.name, "weights_id": self.backbone.weights_id, "recipe": self.hash}
        log_every = 0 if settings.logger.kind == ["none"] else settings.logger.every
        every = settings.trainer.checkpoint_every
        trainer.callbacks = [  # type: ignore[attr-defined]
            Results(folder, common, self._text, checkpoint_every=every, log_every=log_every),
            ImagesOverTime(folder, units=settings.logger.images, strips=settings.strips),
            Progress(settings.trainer.progress if self.primary else "none", self.made),
            *callbacks,
        ]
        trainer.loggers = loggers
        if chunks or isinstance(trainer.strategy, IndependentStrategy):  # the launcher starts the other ranks
            self.module = ActivationMaximization(self.backbone, chunks, settings)
            trainer.fit_loop.max_epochs = len(chunks)
            trainer.fit(self.module, datamodule=UnitDataModule(chunks, settings.steps))
        if isinstance(trainer.strategy, IndependentStrategy):
            trainer.strategy.meet()

    def _finish(self, folder: RunFolder, loggers: list[Any]) -> None:
        """Write what is about the whole run: curves, summary, sheet."""
        records = folder.records()
        merge_metrics(folder, [chunk.name for chunk in self.plan()])
        self.summary = summarize(records)
        folder.write_json("summary.json", self.summary)
        title = f"{self.backbone.name}  ({Path(self.backbone.weights).name} weights {self.backbone.weights_id})"
        title = title if self.backbone.weights != "none" else f"{self.backbone.name}  (RANDOM weights)"
        subtitle = (
            f"recipe {self.hash}, {self.settings.steps} steps of {self.settings.copies} copies, vitvis {__version__}; "
            "under each image: unit, activation of the clean image (mean over its tokens)"
        )
        pages = draw_sheets(rows_of_records(records, self.path), title=title, subtitle=subtitle)
        for number, page in enumerate(pages, start=1):
            name = "sheet.png" if number == 1 else f"sheet-{number}.png"
            path = folder.write_bytes(name, save_png(page, {"vitvis": __version__, "recipe": self.hash}))
            self.sheet = self.sheet or path
        log_images(loggers, {"sheet": pages[0]}, self.trainer.global_step)
        log_summary(loggers, self.summary)
        folder.remove(Results.CHECKPOINTS)  # every rank is done with them

    def _open(self) -> RunFolder:
        sites = {unit.site: self.backbone.site(unit.site) for unit in self.units}
        kept = ("name", "kind", "depth", "width", "grid")
        before = read_manifest(self.path) if (self.path / "manifest.json").is_file() else {}
        addresses = dict.fromkeys([*before.get("units", []), *(unit.address for unit in self.units)])
        described = {site["name"]: site for site in before.get("backbone", {}).get("sites", [])}
        described |= {name: {key: getattr(site, key) for key in kept} for name, site in sites.items()}
        identity = self._identity()
        details = {
            "backbone": identity["backbone"]
            | {"weights": self.backbone.weights, "sites": sorted(described.values(), key=lambda site: site["depth"])},
            "units": list(addresses),
            "seeds": sorted({*before.get("seeds", []), *self.settings.seeds}),
            "chunk": self.chunk_size,
            "warnings": self.warnings,
            "command": command_line(),
        }
        return RunFolder.open(
            self.path,
            kind="fit",
            settings=to_container(self.settings) | {"out": str(self.path)},
            identity=identity,
            details=details,
            primary=self.primary,
        )

    def _identity(self) -> dict[str, Any]:
        """Return what makes an image: backbone and recipe."""
        backbone = self.backbone
        return {
            "backbone": {
                "name": backbone.name,
                "weights_id": backbone.weights_id,
                "image_size": list(backbone.image_size),
            },
            "recipe": self.recipe,
            "recipe_hash": self.hash,
        }

    def _text(self, address: str, seed: int) -> dict[str, str]:
        """Return the text chunks of one PNG; `settings` alone is enough to make it again."""
        settings = to_container(self.settings) | {"units": [address], "seeds": [seed], "out": None, "recipe": None}
        settings |= {"trainer": {"precision": str(self.trainer.precision)}, "logger": {}}  # not how many did it
        return {
            "unit": address,
            "backbone": self.backbone.name,
            "weights": self.backbone.weights,
            "weights_id": self.backbone.weights_id,
            "recipe": self.hash,
            "seed": str(seed),
            "vitvis": __version__,
            "command": command_line(),
            "rebuild": f"python -m vitvis.fit --from-png {shlex.quote('THIS.png')}",
            "settings": json.dumps(settings, ensure_ascii=False),
        }

    def plan(self) -> list[Chunk]:
        """Return all chunks of the run, of all ranks, done or not."""
        return plan_chunks(self.units, self.settings.seeds, self.backbone.sites, self.chunk_size)

    @property
    def processes(self) -> int:
        """How many processes share the work."""
        return self.trainer.world_size

    def _chunk_before(self) -> int | None:
        """Return the chunk size that this folder was begun with, so that its shards fall together again."""
        found = read_manifest(self.path).get("chunk") if (self.path / "manifest.json").is_file() else None
        return int(found) if found else None

    def _choose_chunk(self, arguments: Mapping[str, Any]) -> int:
        whole = plan_chunks(self.units, self.settings.seeds, self.backbone.sites, sys.maxsize)
        if isinstance(arguments["strategy"], IndependentStrategy):  # ranks have to cut the same chunks
            return choose_chunk(self.backbone, [chunk.site for chunk in whole], self.settings, self.device)
        self.backbone.to(self.device)
        return measure_chunk(self.backbone, whole, self.settings, self.device, self.precision)


def _size(value: Any) -> Any:
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, list) and len(value) == 2:
        return tuple(value)
    raise VitvisError(f"image_size={value}: has to be a number of pixels, or ROWSxCOLUMNS")


def _slug(name: str) -> str:
    return "".join(char if char.isalnum() or char in "._-" else "_" for char in name)


def _quiet() -> None:
    """Keep Lightning's notes about hardware and workers off the screen; its warnings about use stay."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*The number of training batches.*")
    warnings.filterwarnings("ignore", message=".*`IterableDataset` has `__len__` defined.*")
    warnings.filterwarnings("ignore", message=".*in eval mode at the start of training.*")
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
