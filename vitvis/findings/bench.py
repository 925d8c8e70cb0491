"""The bench: models, and runs of `vitvis.fit`, `vitvis.search` and `vitvis.evaluate` that statements share.

Every run lies in `OUT/runs/NAME` and goes on by itself when it was cut off. Two statements that ask for the same images
use one folder, so nothing is made twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vitvis.config.core import merge, recipe_path
from vitvis.errors import VitvisError
from vitvis.evaluate.settings import EvaluateSettings
from vitvis.findings.settings import FindingsSettings
from vitvis.fit.settings import FitSettings
from vitvis.search.settings import SearchSettings

if TYPE_CHECKING:
    from vitvis.backbones import Backbone, Site
    from vitvis.data.source import Source
    from vitvis.search import SearchRun

__all__ = ["KINDS", "ROLES", "Bench", "spaced"]

ROLES = ("model", "cnn")
#: Kinds that are compared, in the order of the sheet.
KINDS = ("mlp", "q", "k", "v", "attn")

Record = dict[str, Any]


class Bench:
    """Runs the parts that statements are made of.

    Args:
        settings: Of the command.
    """

    def __init__(self, settings: FindingsSettings) -> None:
        self.settings = settings
        self.out = Path(settings.out)
        self._backbones: dict[str, Backbone] = {}
        self._searches: dict[str, SearchRun] = {}
        self._pictures: dict[str, list[Record]] = {}
        self._judged: dict[str, list[Record]] = {}

    def folder(self, statement: str) -> Path:
        """Return the folder of a statement's pictures and numbers."""
        path = self.out / statement
        path.mkdir(parents=True, exist_ok=True)
        return path

    def run_folder(self, name: str) -> Path:
        """Return the folder of a run."""
        return self.out / "runs" / name

    @property
    def draws(self) -> dict[str, int]:
        """Arguments of a bootstrap."""
        return {"samples": self.settings.bootstrap, "seed": self.settings.seed}

    def backbone(self, role: str) -> Backbone:
        """Return the transformer (`model`) or the CNN (`cnn`)."""
        if role not in self._backbones:
            from vitvis.backbones import load_backbone

            self._backbones[role] = load_backbone(*self._named(role), image_size=self.settings.image_size)
        return self._backbones[role]

    def sites(self, role: str, kind: str | None = None) -> list[Site]:
        """Return one site of a kind for each block, shallow first: the last of the block, where it has several.

        Args:
            role: Model.
            kind: FFN neurons of the transformer and outputs of blocks of the CNN when None.

        Raises:
            VitvisError: the model has no such sites.
        """
        kind = kind or ("mlp" if role == "model" else "block")
        backbone = self.backbone(role)
        found: dict[int, Site] = {site.depth: site for site in backbone.sites.values() if site.kind == kind}
        if not found:
            raise VitvisError(f"{role}={backbone.name}: has no sites of kind {kind} (see python -m vitvis.sites)")
        return [found[depth] for depth in sorted(found)]

    @cached_property
    def kinds(self) -> dict[str, list[Site]]:
        """Return the sites that are compared, by kind: the same depths for all."""
        everywhere = {kind: self.sites("model", kind) for kind in KINDS}
        common = set.intersection(*({site.depth for site in sites} for sites in everywhere.values()))
        chosen = set(spaced(sorted(common), self.settings.depths))
        return {kind: [site for site in sites if site.depth in chosen] for kind, sites in everywhere.items()}

    def addresses(self, sites: Sequence[Site], count: int) -> list[str]:
        """Return addresses of so many units of each site, drawn by the seed."""
        return [f"{site.name}:~{min(count, site.width)}" for site in sites if count]

    def fit(self, config: str, role: str, units: Sequence[str], folder: str, extra: dict[str, Any]) -> list[Record]:
        """Optimise images.

        Args:
            config: Name of a file in `configs/findings`.
            role: Model.
            units: Addresses.
            folder: Of the run.
            extra: Settings laid over the file's.

        Returns:
            Records of these units, shallow first, each with the path of its image as `file`, and the run as `run`.
        """
        from vitvis.fit.engine import run_fit

        trainer = self.settings.trainer
        out = self.run_folder(folder)
        where = {
            "accelerator": trainer.accelerator,
            "devices": 1,
            "threads": trainer.threads,
            "progress": trainer.progress,
        }
        own = {**self._described(role), "units": list(units), "seeds": [self.settings.seed], "out": str(out)}
        fit = run_fit(merge(FitSettings, recipe_path(f"findings/{config}"), own, {"trainer": where}, extra))
        assert fit.plan is not None
        if fit.made:
            self._judged.pop(folder, None)
        wanted = {unit.address for unit in fit.plan.units}
        records = [record for record in fit.records if record["address"] in wanted]
        records.sort(key=lambda record: (record["depth"], record["site"], record["unit"]))
        return [
            {**record, "run": folder, "file": out / record["image"] if record["image"] else None} for record in records
        ]

    def pictures(self, role: str) -> list[Record]:
        """Return the records of images of FFN neurons (transformer) or channels (CNN) of every block."""
        if role not in self._pictures:
            config, folder = ("depth", "fit-model") if role == "model" else ("depth-cnn", "fit-cnn")
            units = self.addresses(self.sites(role), self.settings.units)
            self._pictures[role] = self.fit(config, role, units, folder, self.settings.fit)
        return self._pictures[role]

    def search(self, role: str) -> SearchRun:
        """Return the search of a model, for all units that any statement asks about."""
        if role in self._searches:
            return self._searches[role]
        from vitvis.search import read_search
        from vitvis.search.engine import search

        settings = self.settings
        sites = [*self.sites(role)]
        if role == "model":
            sites += [site for kind, found in self.kinds.items() if kind != "mlp" for site in found]
        units = [text for count in (settings.units, settings.more) for text in self.addresses(sites, count)]
        own = {
            **self._described(role),
            "units": units,
            "data": settings.data,
            "limit": settings.limit,
            "k": settings.k,
            "seed": settings.seed,
            "out": str(self.run_folder(f"search-{role}")),
            "workers": settings.trainer.workers,
            "trainer": {
                "accelerator": settings.trainer.accelerator,
                "devices": 1,
                "threads": settings.trainer.threads,
                "progress": settings.trainer.progress,
            },
        }
        config = "search" if role == "model" else "search-cnn"
        folder = search(merge(SearchSettings, recipe_path(f"findings/{config}"), own))
        assert folder is not None, "no shard was asked for"
        self._searches[role] = read_search(folder)
        return self._searches[role]

    def other(self, role: str) -> str:
        """Return the role of the model that had no part in the images of a role, and judges them."""
        return ROLES[1 - ROLES.index(role)]

    def judged(self, role: str, folder: str) -> list[Record]:
        """Return what the other model says of a run's images, a row an image; asked again where there are more."""
        if folder in self._judged:
            return self._judged[folder]
        from vitvis.judge import run as judge

        trainer, (name, weights) = self.settings.trainer, self._named(self.other(role))
        (judgement,) = judge(
            run=[str(self.run_folder(folder))],
            judge=[name],
            weights=[weights],
            image_size=self.settings.image_size,
            search=[str(self.search(role).path)],
            sturdiness=0,
            workers=trainer.workers,
            seed=self.settings.seed,
            trainer={"accelerator": trainer.accelerator, "devices": 1, "threads": trainer.threads, "progress": "none"},
        )
        self._judged[folder] = judgement.rows
        return self._judged[folder]

    @cached_property
    def source(self) -> Source:
        """The photos, with their boxes where the data has some."""
        from vitvis.data.kinds import open_source

        return open_source(self.settings.data, limit=self.settings.limit)

    def check(self) -> None:
        """Find mistakes in names of models and data before anything is loaded or made.

        Raises:
            VitvisError: no such model, no such data, a stream, photos without classes, or a folder of another run.
        """
        from vitvis.backbones.loading import check_name
        from vitvis.data.kinds import open_source
        from vitvis.fit.recipe import check_parts

        if (self.out / "manifest.json").exists():
            raise VitvisError(f"out={self.out}: holds a run; choose another folder")
        for name in (self.settings.model, self.settings.cnn, self.settings.clip):
            check_name(name)
        for group in (self.settings.fit, self.settings.paper):
            check_parts(merge(FitSettings, group))
        if self.settings.boxes is not None:
            try:
                open_source(self.settings.boxes)
            except VitvisError as error:
                raise VitvisError(str(error).replace("data=", "boxes=", 1)) from None
        if self.settings.data:
            self._check_data(self.settings.data)
        if "kinds" in self.settings.only:
            _ = self.kinds  # says so where the transformer lacks one

    def _check_data(self, spec: str) -> None:
        if not self.source.random_access:
            raise VitvisError(
                f"data={spec}: is a stream; findings need any photo at any time: parquet:FILE, imagefolder:PATH"
            )
        if self.source.labels.max(initial=-1) < 0:
            raise VitvisError(
                f"data={spec}: has no classes; give parquet:FILE with a column 'label', or imagefolder:PATH"
            )

    def evaluate(self, config: str, roles: Sequence[str] = ROLES) -> dict[str, Any]:
        """Measure accuracies as a file in `configs/findings` says; return what `results.json` holds."""
        from vitvis.evaluate.engine import evaluate

        settings = self.settings
        own: dict[str, Any] = {
            "models": [self._named(role)[0] for role in roles],
            "weights": [self._named(role)[1] for role in roles],
            "image_size": settings.image_size,
            "data": settings.boxes or settings.data,
            "seed": settings.seed,
            "bootstrap": settings.bootstrap,
            "out": str(self.run_folder(config)),
            "workers": settings.trainer.workers,
            "trainer": {
                "accelerator": settings.trainer.accelerator,
                "devices": 1,
                "progress": settings.trainer.progress.replace("lines", "none"),
            },
        }
        if settings.limit is not None:
            own["limit"] = settings.limit
        merged = merge(EvaluateSettings, recipe_path(f"findings/{config}"), own, settings.evaluate)
        results = evaluate(merged)
        assert results is not None, "one process is rank 0"
        return results

    def _named(self, role: str) -> tuple[str, str]:
        settings = self.settings
        return (settings.model, settings.weights) if role == "model" else (settings.cnn, settings.cnn_weights)

    def _described(self, role: str) -> dict[str, Any]:
        name, weights = self._named(role)
        return {"model": name, "weights": weights, "image_size": self.settings.image_size}


def spaced(values: Sequence[int], count: int) -> list[int]:
    """Return `count` of the values, evenly spaced, first and last among them; all where there are no more."""
    if count >= len(values):
        return list(values)
    return [values[round(place)] for place in np.linspace(0, len(values) - 1, count)]
