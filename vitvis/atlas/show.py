"""A unit in a notebook: its pictures, its best photos and where it fires in them, what is known about it."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from vitvis.atlas.concepts import concept_columns
from vitvis.atlas.details import SearchDetails
from vitvis.atlas.model import Backbone, Picture, Run, Site
from vitvis.atlas.overview import record_selectivity
from vitvis.atlas.readers import read_backbones, read_runs
from vitvis.draw import html
from vitvis.errors import VitvisError, nearest

__all__ = ["UnitPanel", "find_unit", "show"]

_PICTURE, _PHOTO, _PHOTOS = 192, 96, 9
_SHADE = 0.55  # how dark the patches of a photo are that excite the unit least


@dataclass(frozen=True)
class UnitPanel:
    """What runs know about one unit; shows itself in a notebook.

    Attributes:
        address: The unit.
        pictures: Its pictures, the first run's and seed's first.
        details: Photos, histogram and classes, as the atlas has them, a search an item.
        words: Words of `vitvis.concepts`, best first.
        runs: By the number that pictures and details name.
    """

    address: str
    pictures: list[Picture] = field(repr=False)
    details: list[dict[str, Any]] = field(repr=False)
    words: list[str] = field(repr=False)
    runs: dict[int, Run] = field(repr=False)

    def _repr_html_(self) -> str:
        parts = [f'<div style="font-size:16px;font-weight:600">{html.escape(self.address)}</div>']
        shown = [picture for picture in self.pictures if picture.path is not None]
        parts.append(html.columns([self._picture(picture) for picture in shown]))
        facts = [fact for picture in shown[:1] for fact in _facts(picture.record)]
        if self.words:
            facts.append(("words", ", ".join(self.words)))
        parts.append(html.table([{"": name, " ": value} for name, value in facts]) if facts else "")
        for search in self.details:
            run = self.runs[search["run"]]
            photos = [_photo(run, photo, search["grid"]) for photo in search["strong"]]
            parts.append(
                f"<b>Strongest of {search['count']:,} photos</b>{html.columns([item for item in photos if item])}"
            )
            if search["labels"]:
                total, rows = search["labels"]
                counted = ", ".join(f"{name} {count}" for name, count in rows)
                parts.append(f"<div><b>Classes of its {total} strongest photos</b>: {html.escape(counted)}</div>")
            if search["effect"]:
                lost = ", ".join(f"{name} −{drop:g}" for name, drop in search["effect"][1])
                parts.append(f"<div><b>Classes that lose most without it</b>: {html.escape(lost)}</div>")
        return "\n".join(part for part in parts if part)

    def _picture(self, picture: Picture) -> str:
        assert picture.path is not None
        several = len({item.run.id for item in self.pictures}) > 1
        value = picture.record.get("activation")
        words = [f"seed {picture.record.get('seed')}", *([f"{value:.3g}"] if value is not None else [])]
        caption = ", ".join([*words, *([picture.run.name] if several else [])])
        return html.picture(html.data_uri(picture.path), _PICTURE, f"Image optimised for {self.address}", caption)


def show(run: str | os.PathLike[str] | Any | Iterable[Any], address: str) -> UnitPanel:
    """Return everything that runs know about a unit, as a panel that shows itself in a notebook.

    Args:
        run: A run folder of a fit or a search, what `vitvis.fit.run` or `vitvis.search.run` returned, or several of
            these.
        address: The unit, such as `blocks.8.mlp:17`.

    Raises:
        VitvisError: a folder is no run, or none of them knows the unit; names the nearest.
    """
    runs = read_runs(_folders(run))
    return find_unit(read_backbones(runs), runs, address)


def find_unit(backbones: Sequence[Backbone], runs: Sequence[Run], address: str) -> UnitPanel:
    """Return what runs that have been read know about a unit; see `show`."""
    for backbone in backbones:
        for site in backbone.sites:
            if address in site.addresses:
                return _panel(site, site.addresses.index(address), runs)
    known = [found for backbone in backbones for site in backbone.sites for found in site.addresses]
    where = ", ".join(str(item.path) for item in runs)
    raise VitvisError(f"{where}: no picture or record of {address}{nearest(address, known)}")


def _panel(site: Site, unit: int, runs: Sequence[Run]) -> UnitPanel:
    details = SearchDetails(site, exemplars=_PHOTOS, paths=False).unit(unit)["search"]
    pictures = [picture for picture in site.pictures if picture.unit == unit and picture.record]
    words = concept_columns(site)["words"][unit]
    return UnitPanel(site.addresses[unit], pictures, details, words, {item.number: item for item in runs})


def _folders(run: Any) -> list[Path]:
    """Return the folders of what was given: a path, an object with a `path`, or several of these."""
    if isinstance(run, str | os.PathLike):
        return [Path(run)]
    if isinstance(getattr(run, "path", None), Path):
        return [run.path]
    if isinstance(run, Iterable):
        return [folder for item in run for folder in _folders(item)]
    raise VitvisError(f"show: {type(run).__name__} is no run; give its folder, or what vitvis.fit.run returned")


def _facts(record: dict[str, Any]) -> list[tuple[str, str]]:
    found: list[tuple[str, Any, str]] = [
        ("status", record.get("status") if record.get("status") != "ok" else None, "{}"),
        ("activation", record.get("activation"), "{:.3g}"),
        ("rank at the site", record.get("rank"), f"{{}} of {record.get('site_width')}"),
        ("selectivity", record_selectivity(record), "{:.3g}"),
        ("high frequencies", record.get("hf_share"), "{:.1%}"),
        ("choice test", record.get("choice"), "{:.1%} of pairs (chance 50 %)"),
    ]
    return [(name, form.format(value)) for name, value, form in found if value is not None]


def _photo(run: Run, photo: dict[str, Any], grid: list[int] | None) -> str:
    path = run.file(f"thumbs/{photo['i']}.jpg")
    if path is None:
        return ""
    over = None
    if photo.get("m") and grid:
        over = html.data_uri(_light(photo["m"], grid))
    caption = f"{photo['a']:.3g} {photo.get('l') or ''}".strip()
    return html.picture(html.data_uri(path), _PHOTO, f"Photo {photo['i']}", caption, over)


def _light(text: str, grid: Sequence[int]) -> Image.Image:
    """Return a patch map of the atlas as a shade of one px a patch: it leaves light what excites the unit."""
    import numpy as np

    values = np.frombuffer(base64.b64decode(text), np.uint8).reshape(grid[0], grid[1])
    shade = np.zeros((*values.shape, 4), np.uint8)
    shade[..., 3] = _SHADE * (255 - values.astype(np.float32))
    return Image.fromarray(shade)
