"""What an atlas is made of, as data: runs, backbones, sites, pictures of units."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from vitvis.errors import VitvisError
from vitvis.runs import Ledger, inside

__all__ = ["Backbone", "Picture", "Run", "Site"]


@dataclass
class Run:
    """One run folder.

    Attributes:
        id: `r0`, `r1`, ... in the order in which the folders were given.
        name: Name of the folder; that of a trial has its sweep before it.
        path: The folder.
        kind: `fit`, `search`, `evaluate` or `sweep`.
        manifest: Its `manifest.json`.
        sweep: Name of the sweep it is a trial of, or None.
        differs: Settings in which it differs from the other fit runs, by dotted name.
        summary: Numbers of `summary.json`, where there is one.
        found: Records that it holds; of an evaluation its results, of a sweep its trials.
    """

    id: str
    name: str
    path: Path
    kind: str
    manifest: dict[str, Any]
    sweep: str | None = None
    differs: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, float] = field(default_factory=dict)
    found: int = 0

    @cached_property
    def ledger(self) -> Ledger:
        """The digests of its files."""
        return Ledger(self.path)

    def file(self, relative: Any) -> Path | None:
        """Return a file of the folder; None when it isn't there, is damaged, or would lie outside of the folder."""
        path = inside(self.path, relative) if relative else None
        return path if path is not None and self.ledger.is_whole(str(relative)) else None

    def table(self, relative: str) -> Path | None:
        """Return a file that pages can't do without once it is there; None where it never was.

        Raises:
            VitvisError: it is damaged.
        """
        path = inside(self.path, relative)
        if path is None or not path.is_file():
            return None
        if not self.ledger.is_whole(relative):
            raise VitvisError(f"{path}: is damaged (it is not what was written); run the command of this folder again")
        return path

    @property
    def number(self) -> int:
        """Place among the runs."""
        return int(self.id[1:])

    @property
    def planned(self) -> int:
        """Records that it will hold when it is done, as far as the manifest says; 0 where it doesn't."""
        listed = self.manifest.get("units") or []  # addresses of a fit, the number of a search
        units = listed if isinstance(listed, int) else len(listed)
        return units * max(1, len(self.manifest.get("seeds") or [])) if self.kind == "fit" else units


@dataclass
class Picture:
    """One tile: an optimised image, or the strongest photo of a unit that has none.

    Attributes:
        run: The run it comes from.
        unit: Place of its unit among the units of the site.
        record: Its fit record; empty for a photo.
        path: The file, or None when it is missing.
        strip: File of the image over the steps, or None.
    """

    run: Run
    unit: int
    record: dict[str, Any]
    path: Path | None
    strip: Path | None = None


@dataclass
class Site:
    """The units of one site, with everything that is known about them.

    Attributes:
        id: `s0`, `s1`, ... over all backbones.
        backbone: Id of its backbone.
        keys: Units as they stand in links: `17`, `-17`, `@file.npy:0`; in order of index.
        addresses: The same units as addresses.
        indices: Their channels.
        pictures: The first `len(keys)` are the tiles, one a unit, in order; other seeds and runs follow.
        searches: Search records by run, then by place of the unit.
    """

    id: str
    backbone: str
    name: str
    kind: str
    depth: int
    width: int
    grid: tuple[int, int] | None
    keys: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    indices: list[int] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    searches: list[tuple[Run, dict[int, dict[str, Any]]]] = field(default_factory=list)


@dataclass
class Backbone:
    """One backbone with the weights it had."""

    id: str
    name: str
    weights: str
    weights_id: str
    image_size: Any
    sites: list[Site] = field(default_factory=list)
