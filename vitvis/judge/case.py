"""A run that is judged: its pictures, its model, the search that goes with it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vitvis.backbones import Site, Unit, load_backbone, resolve_units
from vitvis.backbones.backbone import Backbone
from vitvis.backbones.neutral import own_randomness
from vitvis.errors import VitvisError
from vitvis.runs import read_manifest, read_records
from vitvis.search.reading import SearchRun

__all__ = ["Case", "open_case", "search_of"]


@dataclass
class Case:
    """One run and what is known about it.

    Attributes:
        path: Its folder.
        manifest: Its manifest.
        records: Its records that have a picture, shallow sites first.
        search: The search of the same model, or None.
        backbone: The run's model; None where it can't be loaded any more.
        notes: What can't be measured, and why.
    """

    path: Path
    manifest: dict[str, Any]
    records: list[dict[str, Any]]
    search: SearchRun | None = None
    backbone: Backbone | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def weights_id(self) -> str:
        """Which weights made the pictures."""
        return str(self.manifest["backbone"]["weights_id"])

    @property
    def tokens(self) -> Any:
        """Positions that counted when the pictures were made."""
        return ((self.manifest.get("recipe") or {}).get("objective") or {}).get("tokens", "patches")

    @property
    def same_tokens(self) -> bool:
        """Whether the search read units from the same positions, so that activations can be compared."""
        return self.search is not None and (self.search.manifest.get("recipe") or {}).get("tokens") == self.tokens

    def grid(self, site: str) -> tuple[int, int] | None:
        """Return the patch grid of a site, or, of a site without one, that of the last site before it."""
        listed = self.manifest["backbone"].get("sites") or []
        own = next((entry.get("grid") for entry in listed if entry["name"] == site), None)
        if own:
            return int(own[0]), int(own[1])
        if self.backbone is None:
            return None
        before: tuple[int, int] | None = None
        for name, entry in self.backbone.sites.items():
            if name == site:
                break
            before = entry.grid or before
        return before

    def units(self, records: Sequence[dict[str, Any]]) -> tuple[Site, list[Unit]] | None:
        """Return the site and the units of some records of one site; None where the model is not there to say."""
        if self.backbone is None:
            return None
        found = {unit.address: unit for unit in resolve_units([row["address"] for row in records], self.backbone)}
        if any(row["address"] not in found for row in records):
            return None
        return self.backbone.site(records[0]["site"]), [found[row["address"]] for row in records]


def open_case(folder: str | Path, searches: Sequence[SearchRun]) -> Case:
    """Read a run; its model is not loaded yet.

    Raises:
        VitvisError: it is no run of fit, or holds no picture.
    """
    path = Path(folder)
    manifest = read_manifest(path)
    if manifest["kind"] != "fit":
        raise VitvisError(f"run={path}: is a run of vitvis.{manifest['kind']}; pictures are made by vitvis.fit")
    records = [row for row in read_records(path) if row.get("image") and (path / str(row["image"])).is_file()]
    if not records:
        raise VitvisError(f"run={path}: holds no pictures yet; run its command again to finish it")
    order = {site["name"]: place for place, site in enumerate(manifest["backbone"].get("sites") or [])}
    records.sort(
        key=lambda row: (
            order.get(row["site"], len(order)),
            row["site"],
            row["unit"],
            row["address"],
            row.get("seed") or 0,
        )
    )
    case = Case(path, manifest, records)
    case.search = search_of(case.weights_id, searches)
    if searches and case.search is None:
        names = ", ".join(f"{run.path} ({run.manifest['backbone']['name']})" for run in searches)
        raise VitvisError(
            f"run={path}: shows {manifest['backbone']['name']} ({case.weights_id}), and no search is of that model: "
            f"{names}"
        )
    return case


def search_of(weights_id: str, searches: Sequence[SearchRun]) -> SearchRun | None:
    """Return the first search of the same weights."""
    return next((run for run in searches if run.manifest["backbone"]["weights_id"] == weights_id), None)


def load_model(case: Case) -> None:
    """Load the run's own model; where that can't be done, note what is left out."""
    about = case.manifest["backbone"]
    name, weights = str(about["name"]), str(about.get("weights", "hub"))
    try:
        with warnings.catch_warnings(), own_randomness(0):  # as vitvis.fit does: the same random weights
            warnings.simplefilter("ignore")  # that random weights mean nothing, which the run has said
            backbone = load_backbone(name, weights, tuple(about["image_size"]))
    except VitvisError as error:
        case.notes.append(f"no sturdiness, and no classes: the run's own model can't be loaded ({error})")
        return
    if backbone.weights_id != case.weights_id:
        case.notes.append(
            f"no sturdiness, and no classes: weights={weights} are not those of the run any more "
            f"({backbone.weights_id}, not {case.weights_id})"
        )
        return
    case.backbone = backbone
