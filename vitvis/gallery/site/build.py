"""Write an atlas: read the runs, draw sprites, copy pictures, write data and the page."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitvis.errors import VitvisError
from vitvis.gallery.site import overview
from vitvis.gallery.site.concepts import concept_columns
from vitvis.gallery.site.details import PER_PART, SearchDetails, number
from vitvis.gallery.site.model import Backbone, Picture, Run, Site
from vitvis.gallery.site.privacy import tidy, tidy_value, without_paths
from vitvis.gallery.site.readers import flatten, read_backbones, read_runs
from vitvis.gallery.site.sprites import COLUMNS, draw_sheets

__all__ = ["Atlas", "write_atlas"]

MARK = "data/atlas.js"
_RESERVE = 160  # bytes of data that each picture costs beside itself


@dataclass(frozen=True)
class Atlas:
    """What was written.

    Attributes:
        path: The page to open.
        units: Units with a page of their own.
        bytes: Size of the folder.
        left_out: Full-size pictures that did not fit into `max_mb`.
    """

    path: Path
    units: int
    bytes: int
    left_out: int


def write_atlas(
    folders: Iterable[str | Path],
    out: str | Path,
    *,
    title: str = "vitvis atlas",
    max_mb: float = 1000.0,
    tile: int = 96,
    exemplars: int = 9,
    paths: bool = False,
    link: bool = False,
) -> Atlas:
    """Write a static site from run folders; whole or not at all.

    Args:
        folders: Run folders of any kind; a sweep brings its trials.
        out: The site's folder; an atlas that is there is replaced.
        title: Title of the page.
        max_mb: Size in MB (10^6 bytes) that full-size pictures may fill the folder up to; sprites always go in.
        tile: Side of a sprite in px.
        exemplars: Strongest photos a unit; half as many of the weakest.
        paths: Show names of dataset files and absolute paths, instead of leaving them out.
        link: Refer to full-size pictures that lie beside `out`, in the same folder, instead of copying them: for the
            atlas of a run that lies within the run.

    Raises:
        VitvisError: a folder is no run, none holds anything to show, `out` is something else than an atlas, or
            what can't be left out is larger than `max_mb`.
    """
    out = Path(out)
    if out.exists() and not (out / MARK).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise VitvisError(f"{out}: is there and is no atlas; choose another folder with out=FOLDER")
    runs = read_runs(folders)
    backbones = read_backbones(runs)
    evaluations = [found for run in runs if run.kind == "evaluate" if (found := overview.evaluation(run, paths))]
    if not backbones and not evaluations:
        raise VitvisError("nothing to show: the runs hold no record yet (run their commands again to finish them)")
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        home = out.resolve().parent if link else None
        writer = _Writer(partial, max_mb, tile, exemplars, paths, home)
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            writer.draw(backbones, pool)
        writer.copy_pictures(backbones)
        writer.write_data(title, runs, backbones)
        writer.write_pages(title, runs, backbones, evaluations)
        size = writer.size()
        if size > max_mb * 1e6:
            raise VitvisError(
                f"the atlas needs {size / 1e6:.0f} MB without full-size pictures, more than max_mb={max_mb:g};"
                " give fewer runs, a smaller tile=, or a larger max_mb="
            )
        if out.exists():
            shutil.rmtree(out)
        os.replace(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    units = sum(len(site.keys) for backbone in backbones for site in backbone.sites)
    return Atlas(out / "index.html", units, size, writer.left_out)


class _Writer:
    """Writes the parts of one atlas into a folder that nobody sees yet."""

    def __init__(self, folder: Path, max_mb: float, tile: int, exemplars: int, paths: bool, home: Path | None) -> None:
        self.folder = folder
        self.limit = max_mb * 1e6
        self.tile = tile
        self.exemplars = exemplars
        self.paths = paths
        self.home = home
        self.left_out = 0
        self._written = 0
        self._tables: dict[str, dict[str, Any]] = {}
        self._thumbs: dict[tuple[str, int], Path] = {}

    def size(self) -> int:
        """Return the bytes written so far."""
        return self._written

    def draw(self, backbones: Sequence[Backbone], pool: ThreadPoolExecutor) -> None:
        """Draw the sprites of all sites and write the details of their units."""
        for backbone in backbones:
            for site in backbone.sites:
                sheets = draw_sheets(site.pictures, self.tile, overview.choose(site), pool)
                for place, data in enumerate(sheets.files):
                    self._write(f"sprites/{site.id}-{place}.webp", data)
                self._write(f"sprites/{site.id}.webp", sheets.mosaic)
                self._tables[site.id] = self._table(site, sheets.colours, sheets.sizes)
                self._tables[site.id]["sheets"] = len(sheets.files)
                self._write_details(site, sheets.commands)

    def copy_pictures(self, backbones: Sequence[Backbone]) -> None:
        """Copy thumbnails, then full-size pictures: tiles, other seeds and runs, strips, until the limit."""
        for (run, index), path in sorted(self._thumbs.items()):
            self._write(f"thumbs/{run}/{index}.jpg", path.read_bytes())
        jobs: list[tuple[int, str, int, str, Path]] = []
        for site in (site for backbone in backbones for site in backbone.sites):
            for place, picture in enumerate(site.pictures):
                if picture.path is not None and picture.record:
                    name = f"images/{site.id}/{picture.run.id}-{picture.path.stem}"
                    jobs.append((int(place >= len(site.keys)), site.id, place, name, picture.path))
                    if picture.strip is not None:
                        name = name.replace("images/", "progress/", 1)
                        jobs.append((2, site.id, place, name, picture.strip))
        if self.home is not None:
            jobs = [job for job in jobs if not self._link(*job)]
        jobs.sort(key=lambda job: job[0])
        reserve = _RESERVE * len(jobs) + 400_000
        needed = sum(job[-1].stat().st_size for job in jobs)
        shrink = self._written + needed + reserve > self.limit
        for order, site_id, place, name, path in jobs:
            data = path.read_bytes()
            if shrink:
                data = _to_webp(data)
            elif not self.paths:
                data = without_paths(data)
            file = _clean_name(name) + (".webp" if shrink else path.suffix)
            if self._written + reserve + len(data) > self.limit:
                self.left_out += 1
                continue
            self._write(file, data)
            self._tables[site_id]["strip" if order == 2 else "file"][place] = file

    def _link(self, order: int, site_id: str, place: int, name: str, path: Path) -> bool:
        """Refer to a picture that lies beside the atlas; return False for one that lies elsewhere."""
        assert self.home is not None
        path = path.resolve()
        if not path.is_relative_to(self.home):
            return False
        address = "../" + "/".join(_quoted(part) for part in path.relative_to(self.home).parts)
        self._tables[site_id]["strip" if order == 2 else "file"][place] = address
        return True

    def write_data(self, title: str, runs: Sequence[Run], backbones: Sequence[Backbone]) -> None:
        """Write one file of data a site, and the one that every page begins with."""
        for site_id, table in self._tables.items():
            self._write_script(f"data/{site_id}.js", site_id, table)
        content = {
            "title": title,
            "tile": self.tile,
            "columns": COLUMNS,
            "part": PER_PART,
            "runs": [self._run(run) for run in runs],
            "backbones": [
                {
                    "id": backbone.id,
                    "name": backbone.name,
                    "weights": backbone.weights,
                    "weights_id": backbone.weights_id,
                    "sites": [
                        {
                            "id": site.id,
                            "name": site.name,
                            "kind": site.kind,
                            "depth": site.depth,
                            "width": site.width,
                            "units": len(site.keys),
                            "runs": sorted({picture.run.number for picture in site.pictures if picture.record}),
                        }
                        for site in backbone.sites
                    ],
                }
                for backbone in backbones
            ],
        }
        self._write_script(MARK, "atlas", content)

    def write_pages(
        self, title: str, runs: Sequence[Run], backbones: Sequence[Backbone], evaluations: Sequence[dict[str, Any]]
    ) -> None:
        """Write the page and what it is made to look and act with."""
        from jinja2 import Environment, PackageLoader, StrictUndefined

        from vitvis import __version__

        environment = Environment(
            loader=PackageLoader("vitvis.gallery.site"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters["quoted"] = _quoted
        shown = [
            {
                "backbone": backbone,
                "layers": overview.layers(backbone),
                "charts": overview.depth_charts(backbone),
                "runs": overview.runs_of(backbone, runs),
                "units": sum(len(site.keys) for site in backbone.sites),
            }
            for backbone in backbones
        ]
        page = environment.get_template("index.html").render(
            title=title,
            version=__version__,
            shown=shown,
            runs=[self._run(run) for run in runs],
            evaluations=evaluations,
            sheets={site_id: table["sheets"] for site_id, table in self._tables.items()},
        )
        self._write("index.html", page.encode())
        static = Path(__file__).parent / "static"
        for name in ("atlas.css", "atlas.js"):
            self._write(f"assets/{name}", (static / name).read_bytes())

    def _run(self, run: Run) -> dict[str, Any]:
        manifest = run.manifest if self.paths else tidy_value(run.manifest)
        backbone = manifest.get("backbone") or {}
        differs = run.differs if self.paths else tidy_value(run.differs)
        return {
            "name": run.name,
            "kind": run.kind,
            "sweep": run.sweep,
            "backbone": str(backbone.get("name") or ""),
            "recipe": str(manifest.get("recipe_hash") or ""),
            "differs": {name: _plain(value) for name, value in differs.items()},
            "settings": {name: _plain(value) for name, value in flatten(manifest.get("recipe") or {}).items()},
            "command": str(manifest.get("command") or ""),
            "created": str(manifest.get("created") or ""),
            "vitvis": str(manifest.get("vitvis") or ""),
            "score": number(run.summary.get("score"), 3),
        }

    def _table(self, site: Site, colours: list[str], sizes: list[tuple[int, int]]) -> dict[str, Any]:
        """Return the columns of a site: of its units, and of its pictures."""
        pictures = site.pictures
        strongest = [
            next((number(records[unit]["strongest_activation"][0]) for _, records in site.searches
                  if unit in records and records[unit]["strongest_activation"]), None)
            for unit in range(len(site.keys))
        ]  # fmt: skip
        columns: dict[str, list[Any]] = {
            "unit": [picture.unit for picture in pictures],
            "run": [picture.run.number for picture in pictures],
            "seed": [picture.record.get("seed") for picture in pictures],
            "status": [self._status(picture) for picture in pictures],
            "selectivity": [number(overview.record_selectivity(picture.record), 4) for picture in pictures],
            "message": [self._text(picture.record.get("message")) for picture in pictures],
        }
        for name in ("activation", "activation_start", "activation_peak", "rank", "hf_share", "tv", "steps", "seconds"):
            columns[name] = [number(picture.record.get(name)) for picture in pictures]
        return {
            "keys": site.keys,
            "index": site.indices,
            "addresses": [self._text(address) for address in site.addresses],
            "strongest": strongest,
            "searched": bool(site.searches),
            **concept_columns(site),
            **columns,
            "colour": colours,
            "size": sizes,
            "file": [None] * len(pictures),
            "strip": [None] * len(pictures),
        }

    def _status(self, picture: Picture) -> str:
        return str(picture.record.get("status") or "ok") if picture.record else "photo"

    def _text(self, value: Any) -> str:
        return "" if value is None else str(value) if self.paths else tidy(str(value))

    def _write_details(self, site: Site, commands: Sequence[str]) -> None:
        details = SearchDetails(site, exemplars=self.exemplars, paths=self.paths)
        by_unit: dict[int, list[int]] = {}
        for place, picture in enumerate(site.pictures):
            by_unit.setdefault(picture.unit, []).append(place)
        for start in range(0, len(site.keys), PER_PART):
            part = []
            for unit in range(start, min(start + PER_PART, len(site.keys))):
                found = details.unit(unit)
                found["commands"] = {
                    place: self._text(commands[place] or _rebuild(site.pictures[place]))
                    for place in by_unit[unit]
                    if site.pictures[place].record
                }
                part.append(found)
            name = f"{site.id}-{start // PER_PART}"
            self._write_script(f"data/{name}.js", name, part)
        self._thumbs |= details.thumbs

    def _write_script(self, path: str, name: str, content: Any) -> None:
        text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
        self._write(path, f'vitvis.put("{name}",{text});\n'.encode())

    def _write(self, relative: str, data: bytes) -> None:
        path = self.folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self._written += len(data)


def _rebuild(picture: Picture) -> str:
    command = picture.run.manifest.get("command")
    record = picture.record
    return f"{command} units={record['address']} seeds=[{record.get('seed') or 0}]" if command else ""


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="!~*'()")  # what JavaScript's encodeURIComponent leaves


def _clean_name(name: str) -> str:
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "._-/") else "_" for letter in name)


def _to_webp(data: bytes) -> bytes:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            buffer = io.BytesIO()
            image.convert("RGB").save(buffer, "WEBP", quality=85, method=2)
            return buffer.getvalue()
    except (OSError, SyntaxError):
        return data
