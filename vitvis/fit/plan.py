"""What a fit will do, known before it does anything: units, chunks, recipe, folder, and what it needs."""

from __future__ import annotations

import json
import shlex
import shutil
import warnings
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from vitvis import __version__
from vitvis.backbones import Backbone, Unit, check_bands, check_files, load_backbone, resolve_units, select_tokens
from vitvis.config.core import to_container
from vitvis.config.values import flatten
from vitvis.errors import VitvisError
from vitvis.fit.chunks import Chunk, plan_chunks, variant_seeds, without
from vitvis.fit.memory import check_memory, choose_chunk, least_bytes, saved_bytes
from vitvis.fit.module import ActivationMaximization
from vitvis.fit.rebuild import paths_of
from vitvis.fit.recipe import check_parts, recipe_of
from vitvis.fit.settings import FitSettings
from vitvis.launch.ranks import device_of, trainer_arguments
from vitvis.launch.shards import Shard
from vitvis.runs import command_line, digest, recipe_hash
from vitvis.runs.manifest import read_manifest
from vitvis.runs.records import read_keys

__all__ = ["PNG_BYTES_A_PIXEL", "Plan", "make_plan"]

#: Of 64 px and of 224 px images made so far, text chunks left out; white noise has 3.
PNG_BYTES_A_PIXEL = 2.7


@dataclass(frozen=True)
class Plan:
    """What a fit will do. Making one writes nothing.

    Attributes:
        settings: As given.
        module: The LightningModule with its frozen backbone; made once, for all chunks.
        units: The units that are asked for.
        chunks: All chunks, of all ranks, done or not; their names are those of shards.
        chunk_size: The most images that are optimised together.
        recipe: What decides the images, and `recipe_hash`, its name.
        precision: `32-true` or `bf16-mixed`.
        device: Where this process works; the first device, where there are several.
        trainer: Arguments of the Trainer.
        path: The run folder.
        memory: Bytes that a step needs at least.
        warnings: What loading the model has warned of.
        settled: Whether the precision was asked for or is that of the folder, so that no other may be taken.
        why: Why the precision is what it is, where it was chosen by its speed.
    """

    settings: FitSettings
    module: ActivationMaximization
    units: tuple[Unit, ...]
    chunks: tuple[Chunk, ...]
    chunk_size: int
    recipe: dict[str, Any]
    recipe_hash: str
    precision: str
    device: torch.device
    trainer: dict[str, Any]
    path: Path
    memory: int = 0
    warnings: tuple[str, ...] = ()
    settled: bool = True
    why: str = ""

    @property
    def backbone(self) -> Backbone:
        """The model under study."""
        return self.module.backbone

    @cached_property
    def done(self) -> Collection[tuple[Any, ...]]:
        """Images `(address, seed)` that the folder holds already; looked for once, since every file is read."""
        return read_keys(self.path, ("address", "seed")) if self.path.is_dir() else frozenset()

    @property
    def seeds(self) -> list[int]:
        """Seeds of the images of each unit: those of the settings, or of all their variants."""
        return variant_seeds(self.settings.seeds, self.settings.variants)

    @property
    def shard(self) -> Shard:
        """Which share of the work this process and its ranks do."""
        return Shard.of(self.settings.shard)

    def missing(self) -> list[Chunk]:
        """Return the chunks of this share with the images that the folder does not hold."""
        return [chunk for chunk in (without(chunk, self.done) for chunk in self.shard.own(self.chunks)) if chunk.units]

    def cut(self, size: int) -> Plan:
        """Return the same plan in chunks of another size: that of a folder that was begun with it."""
        chunks = plan_chunks(self.units, self.settings.seeds, self.backbone.sites, size, self.settings.variants)
        return replace(self, chunks=tuple(chunks), chunk_size=size)

    def at(self, precision: str, why: str = "") -> Plan:
        """Return the same plan in another precision."""
        return replace(self, precision=precision, why=why, trainer=self.trainer | {"precision": precision})

    def is_done(self, records: Iterable[Mapping[str, Any]]) -> bool:
        """Say whether records are there of all images, of all shares."""
        there = {(record["address"], record["seed"]) for record in records}
        return all(target in there for chunk in self.chunks for target in chunk.targets)

    def identity(self) -> dict[str, Any]:
        """Return what makes an image: backbone, recipe, precision."""
        return _identity(self.backbone, self.recipe, self.precision)

    def details(self, before: Mapping[str, Any]) -> dict[str, Any]:
        """Return the rest of the manifest, which may change when a run goes on.

        Args:
            before: The manifest of the folder, empty where there is none.
        """
        sites = {unit.site: self.backbone.site(unit.site) for unit in self.units}
        kept = ("name", "kind", "depth", "width", "grid")
        described = {site["name"]: site for site in (before.get("backbone") or {}).get("sites", [])}
        for name, site in sites.items():
            own = {key: getattr(site, key) for key in kept}
            if site.dictionary is not None:  # what it holds decides the pictures, and not its name alone
                own["dictionary"] = site.dictionary.digest
                if described.get(name, own).get("dictionary") != own["dictionary"]:
                    raise VitvisError(f"{name}: the dictionary has changed since this folder's pictures were made")
            described[name] = own
        about = {"weights": self.backbone.weights, "sites": sorted(described.values(), key=lambda site: site["depth"])}
        return {
            "backbone": self.identity()["backbone"] | about,
            "units": list(dict.fromkeys([*before.get("units", []), *(unit.address for unit in self.units)])),
            "seeds": sorted({*before.get("seeds", []), *self.seeds}),
            "chunk": before.get("chunk", self.chunk_size) if self.settings.shard else self.chunk_size,
            "warnings": list(self.warnings),
            "command": command_line(),
        }

    def text(self, address: str, seed: int) -> dict[str, str]:
        """Return the text chunks of one PNG; `settings` alone is enough to make it again."""
        settings = to_container(self.settings) | {"units": [address], "seeds": [seed], "out": None, "recipe": None}
        settings |= {"shard": None, "finish": False, "launch": {}}
        settings |= {"trainer": {"precision": self.precision}, "logger": {}, "judge": {}}  # not how many did it
        return {
            "unit": address,
            "backbone": self.backbone.name,
            "weights": self.backbone.weights,
            "weights_id": self.backbone.weights_id,
            "recipe": self.recipe_hash,
            "seed": str(seed),
            "vitvis": __version__,
            "command": command_line(),
            "rebuild": f"python -m vitvis.fit --from-png THIS.png {shlex.join(flatten(paths_of(settings)))}".strip(),
            "settings": json.dumps(settings, ensure_ascii=False),
        }


def make_plan(settings: FitSettings) -> Plan:
    """Return what a fit will do.

    Raises:
        VitvisError: settings that can't be followed, or that need more than this machine has.
    """
    arguments = trainer_arguments(settings.trainer, alone=bool(settings.shard))
    device = device_of(arguments)
    check_parts(settings)
    recipe = recipe_of(settings)
    backbone, told = _load(settings)
    check_bands(settings.bands, backbone.channels)
    if settings.alpha is not None and backbone.channels != 3:
        raise VitvisError(
            f"alpha={settings.alpha}: is for RGB pictures, and {backbone.name} takes {backbone.channels} channels"
        )
    units = resolve_units(settings.units, backbone, seed=settings.seeds[0])
    # By the word that was asked for: `auto` is the same folder on a GPU and on a CPU, and keeps the folder's precision.
    identity = _identity(backbone, recipe, settings.trainer.precision)
    path = Path(settings.out or f"out/{_slug(settings.model)}-{digest(identity, 8)}")
    before = read_manifest(path) if (path / "manifest.json").is_file() else {}
    settled = settings.trainer.precision != "auto" or bool(before.get("precision"))
    if settings.trainer.precision == "auto":  # a folder keeps the precision that it was begun with
        arguments["precision"] = before.get("precision") or arguments["precision"]
    module = ActivationMaximization(backbone, settings)
    variants, every = settings.variants, variant_seeds(settings.seeds, settings.variants)
    by_site = plan_chunks(units, settings.seeds, backbone.sites, len(units) * len(every), variants)
    sites, largest = [chunk.site for chunk in by_site], max(len(chunk) for chunk in by_site)
    for site in sites:
        _check_tokens(site, settings.objective.tokens)
    deepest = max(sites, key=lambda site: site.depth)
    least = least_bytes(backbone, deepest)
    check_memory(
        backbone, least, min(settings.chunk or variants, largest), settings, device
    )  # before the model is run at all
    size = settings.chunk or before.get("chunk") or choose_chunk(backbone, sites, settings, device)
    chunks = tuple(plan_chunks(units, settings.seeds, backbone.sites, int(size), variants))
    module.configure_augmentations(chunks[0])  # says so if there is no such augmentation
    for chunk in {chunk.site.name: chunk for chunk in chunks}.values():
        module.configure_objective(chunk)  # or if a site does not go with what is measured
    if module.album is not None:
        for unit in units:  # says so if the search did not watch it
            module.album.photos(unit)
    module.configure_gate(units)
    most = max(len(chunk) for chunk in chunks)
    saved = saved_bytes(backbone, deepest)
    plan = Plan(
        settings=settings,
        module=module,
        units=tuple(units),
        chunks=chunks,
        chunk_size=int(size),
        recipe=recipe,
        recipe_hash=recipe_hash(recipe),
        precision=arguments["precision"],
        device=device,
        trainer=arguments,
        path=path,
        memory=check_memory(backbone, saved, most, settings, device),
        warnings=told,
        settled=settled,
    )
    _check_disk(plan)
    return plan


def _identity(backbone: Backbone, recipe: dict[str, Any], precision: str) -> dict[str, Any]:
    return {
        "backbone": {
            "name": backbone.name,
            "weights_id": backbone.weights_id,
            "image_size": list(backbone.image_size),
        },
        "recipe": recipe,
        "recipe_hash": recipe_hash(recipe),
        "precision": precision,
    }


def _load(settings: FitSettings) -> tuple[Backbone, tuple[str, ...]]:
    """Return the model, and what loading it has warned of."""
    check_files(settings.units)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        backbone = load_backbone(settings.model, settings.weights, settings.image_size)
    return backbone, tuple(str(item.message) for item in caught if settings.model in str(item.message))


def _check_tokens(site: Any, tokens: Any) -> None:
    """Look whether a site has the tokens that are asked for."""
    count = 1 if site.grid is None else site.prefix_tokens + site.grid[0] * site.grid[1]
    try:
        select_tokens(torch.empty(1, count, 1, device="meta"), site, tokens)
    except (TypeError, ValueError):
        raise VitvisError(
            f"objective.tokens={tokens}: has to be patches, cls, all, an index or a box [top,left,bottom,right]"
        ) from None


def _check_disk(plan: Plan) -> None:
    """Refuse what certainly does not fit the disk."""
    rows, columns = plan.backbone.image_size
    each = rows * columns * PNG_BYTES_A_PIXEL
    free = shutil.disk_usage(next(place for place in [plan.path, *plan.path.absolute().parents] if place.is_dir())).free
    if len(plan.units) * len(plan.seeds) * each <= free:
        return
    images = sum(len(chunk) for chunk in plan.missing())
    needed = images * each
    if needed > free:
        raise VitvisError(
            f"{plan.path}: {images:,} images need about {needed / 2**30:,.1f} GiB, the disk has {free / 2**30:,.1f} "
            "free; ask for fewer units or seeds, or choose another out=FOLDER"
        )


def _slug(name: str) -> str:
    return "".join(char if char.isalnum() or char in "._-" else "_" for char in name)
