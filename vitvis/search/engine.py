"""A whole search: open, go over the data, join the ranks, write, draw."""

from __future__ import annotations

from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from vitvis.backbones import Backbone, Tap, check_bands, check_files, load_backbone, parse_units
from vitvis.config import to_container
from vitvis.data.kinds import open_source
from vitvis.data.loader import ModelView
from vitvis.data.parts import FOLDER
from vitvis.data.passes import join_shards, make_trainer, run_pass
from vitvis.data.source import Source
from vitvis.errors import VitvisError
from vitvis.launch.cores import count_cores
from vitvis.launch.isolation import isolated
from vitvis.launch.shards import Shard, nothing_to_join
from vitvis.runs import RunFolder, check_folder, model_folder, recipe_hash, site_folder
from vitvis.search import ablation, views, writing
from vitvis.search.layout import Layout, make_layout
from vitvis.search.module import ExemplarSearch
from vitvis.search.reading import read_search
from vitvis.search.settings import SearchSettings
from vitvis.search.state import SearchState, start

__all__ = ["search"]

SUMMARY = "summary.json"
#: What only a pass over the data can make again.
_MEASURED = ("records/", "maps/", "skipped.csv")


@isolated
def search(settings: SearchSettings) -> Path | None:
    """Search data for the images that excite units most; a killed search goes on where its last checkpoint stands.

    Args:
        settings: What to search, for which units, and where to leave it.

    Returns:
        The run folder; None where `shard=` has done its part and others are missing.

    Raises:
        VitvisError: something that was asked for isn't there, or the folder holds another run.
    """
    if settings.out:
        check_folder(settings.out, "search")
    views.check_fit(settings.fit)
    source = open_source(
        settings.data,
        split=settings.split,
        classes=settings.classes,
        regions=settings.regions,
        label_file=settings.label_file,
        limit=settings.limit,
    )
    check_files(settings.units)
    backbone = load_backbone(settings.model, settings.weights, settings.image_size)
    check_bands(settings.bands, backbone.channels)
    units = parse_units(settings.units, backbone.sites, settings.seed)
    layout = make_layout(units, {unit.site: backbone.site(unit.site) for unit in units}, settings.tokens)
    _check_tokens(layout)
    optimised = views.optimised_images(settings.fit, backbone.weights_id)
    trainer = make_trainer(settings.trainer, alone=bool(settings.shard or settings.finish))
    identity, out = _identity(settings, backbone, layout, source)
    if settings.finish and check_folder(out, "search") is None:
        raise nothing_to_join(out)
    plain = replace(settings, shard=None, finish=False)
    place: dict[str, Any] = {
        "kind": "search",
        "settings": to_container(plain),
        "identity": identity,
        "details": {"units": len(units), "bands": settings.bands},
    }
    if settings.shard:
        with RunFolder.open(out, shard=Shard.of(settings.shard).name, **place) as folder:
            if _is_missing(folder):
                module, _ = _pass(settings, backbone, layout, source, out, trainer)
                if not module.is_complete():
                    return None
        return join_shards(out, search, replace(plain, out=str(out), finish=True))
    with RunFolder.open(out, primary=trainer.is_global_zero, **place) as folder:
        if _is_missing(folder):
            module, seconds = _pass(settings, backbone, layout, source, out, trainer)
            if trainer.is_global_zero:
                _write_results(settings, backbone, source, module, folder, trainer.world_size, seconds)
        if trainer.is_global_zero:
            folder.remove(FOLDER)
            _draw(settings, backbone, source, folder, optimised)
    return out


def _is_missing(folder: RunFolder) -> bool:
    """Say whether what only a pass over the data can find isn't there, or isn't whole."""
    return not folder.is_whole(SUMMARY) or bool(folder.damaged(*_MEASURED))


def _check_tokens(layout: Layout) -> None:
    """Find out before the first image whether every site has the tokens that were asked for."""
    from vitvis.backbones import select_tokens

    for group in layout.groups:
        tokens = group.site.prefix_tokens + (group.patches or 1)
        select_tokens(torch.zeros(1, tokens, 1), group.site, layout.tokens)


def _identity(
    settings: SearchSettings, backbone: Backbone, layout: Layout, source: Source
) -> tuple[dict[str, Any], Path]:
    """Return what makes a search the same search, and its folder."""
    recipe = {
        name: getattr(settings, name)
        for name in (
            "data",
            "split",
            "limit",
            "regions",
            "units",
            "tokens",
            "k",
            "sample",
            "per_decile",
            "seed",
            "maps",
        )
    } | {"images": source.length, "precision": settings.trainer.precision}
    if settings.labels:
        recipe["labels"] = settings.labels
    read = {group.site.name: group.site.dictionary.digest for group in layout.groups if group.site.dictionary}
    if read:  # what a dictionary holds counts, and not its name alone
        recipe["dictionaries"] = read
    name = recipe_hash(recipe)
    unique = recipe_hash(recipe | {"backbone": backbone.weights_id})
    out = Path(settings.out) if settings.out else Path("out") / f"search-{model_folder(backbone.name)}-{unique}"
    described = backbone.described(group.site for group in layout.groups)
    return {"backbone": described, "recipe": recipe, "recipe_hash": name}, out


def _pass(
    settings: SearchSettings, backbone: Backbone, layout: Layout, source: Source, out: Path, trainer: pl.Trainer
) -> tuple[ExemplarSearch, float]:
    """Go over this process's batches, leave its part on the disk, and return the seconds that took."""
    on_gpu = trainer.strategy.root_device.type != "cpu"
    labelled = settings.labels if source.random_access and (source.labels >= 0).any() else 0

    def new_state(device: torch.device) -> SearchState:
        return start(
            layout,
            settings.k,
            sample=settings.sample,
            seed=settings.seed,
            maps=settings.maps,
            labelled=labelled,
            device=device,
        )

    with Tap(backbone, [group.site.source for group in layout.groups]) as tap:
        module = ExemplarSearch(
            backbone,
            tap,
            layout,
            source,
            new_state,
            out,
            batch_size=settings.batch_size or 64,
            workers=_workers(settings, on_gpu),
            keep_images=settings.checkpoint_every,
            progress=settings.trainer.progress,
            shard=astuple(Shard.of(settings.shard)) if settings.shard else None,
        )
        return module, run_pass(trainer, module, finish=settings.finish)


def _workers(settings: SearchSettings, on_gpu: bool) -> int:
    if settings.workers is not None:
        return settings.workers
    return min(8, count_cores()) if on_gpu else min(2, count_cores() // 2)


def _write_results(
    settings: SearchSettings,
    backbone: Backbone,
    source: Source,
    module: ExemplarSearch,
    folder: RunFolder,
    world: int,
    seconds: float,
) -> None:
    """Join what all processes have found, and write records, maps and lists."""
    joined, skipped = module.joined(), module.skipped
    if not joined.moments.count:
        first = f" (the first: {skipped[0][1]}: {skipped[0][2]})" if skipped else ""
        folder.remove(FOLDER)
        folder.discard()  # or mended data under the same names would be taken for done
        raise VitvisError(f"data={settings.data}: no image of it could be used{first}")
    records = writing.make_records(joined, module.layout, backbone.name, backbone.weights_id, settings.per_decile)
    if joined.labelled is not None:
        writing.count_labels(records, joined.labelled, module.layout, source)
    writing.write_maps(folder, joined, module.layout)
    writing.write_skipped(folder, skipped)
    for number, (site, rows) in enumerate(records.items()):
        folder.write_shard(f"{number:04d}-{site_folder(site)}", rows)
    folder.write_json(
        SUMMARY,
        {
            "images": joined.moments.count,
            "skipped": len(skipped),
            "units": module.layout.width,
            "seconds": round(seconds, 3),
            "images_per_second": round(joined.moments.count / max(seconds, 1e-9), 2),
            "processes": world,
            "annotations": dict(module.counts),
        },
    )


def _draw(
    settings: SearchSettings, backbone: Backbone, source: Source, folder: RunFolder, optimised: dict[str, Path]
) -> None:
    """Draw what isn't there yet."""
    run = read_search(folder.path)
    view = ModelView(backbone.transform())
    columns = ["strongest_index"] if settings.thumbs == "strongest" else None
    wanted = writing.kept_indices(run.records, columns)
    if not folder.is_whole("background.csv"):  # it can be derived, and so it is where it is lost
        writing.write_background(folder, run.records)
    listed = folder.is_whole("images.parquet")
    if source.random_access and not listed:
        writing.write_items(folder, [source.entry(index) for index in writing.kept_indices(run.records)])
    if source.random_access and settings.thumbs != "none":
        views.write_thumbs(
            folder.path, source, view, wanted, workers=_workers(settings, on_gpu=False), bands=settings.bands
        )
    elif not source.random_access and (not listed or folder.damaged("thumbs/")):
        thumbs = settings.thumbs != "none"
        writing.write_items(
            folder, views.write_thumbs_of_stream(folder.path, source, view, wanted, thumbs=thumbs, bands=settings.bands)
        )
    if settings.ablate and settings.thumbs != "none" and not folder.is_whole(ablation.FILE):
        ablation.write_effects(folder, run, backbone, settings.ablate)
    if settings.thumbs == "none" or settings.strips == "none":
        return
    drawn = folder.path / "strips" / ".fit"  # which fit run the strips show
    anew = bool(optimised) and (not drawn.exists() or drawn.read_text() != str(settings.fit))
    addresses = views.strip_addresses(run, settings.strips, optimised)
    processes = settings.trainer.threads or min(16, count_cores())
    views.write_strips(run, addresses, optimised, settings.strip_images, anew=anew, processes=processes)
    views.write_sheets(run, optimised)
    if optimised:
        folder.write_text("strips/.fit", str(settings.fit))
