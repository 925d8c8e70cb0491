"""Write an atlas: read the runs, draw sprites, copy photos and pictures, write data and the page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitvis.atlas import overview, pages, pictures
from vitvis.atlas.commands import Commands
from vitvis.atlas.details import PER_PART, SearchDetails
from vitvis.atlas.evaluations import read_evaluation
from vitvis.atlas.model import Backbone, Site
from vitvis.atlas.output import Output, script
from vitvis.atlas.privacy import tidy_value
from vitvis.atlas.publish import CARD, write_card
from vitvis.atlas.readers import read_backbones, read_runs
from vitvis.atlas.sprites import draw_sheets
from vitvis.atlas.tables import site_table
from vitvis.errors import VitvisError
from vitvis.launch.cores import count_cores
from vitvis.runs import atomic_folder, check_path

if TYPE_CHECKING:
    from PIL import Image

    from vitvis.atlas.map.features import Sight
    from vitvis.atlas.map.tiles import Tiles
    from vitvis.atlas.map.writing import Plan

__all__ = ["Atlas", "Card", "write_atlas"]

_Veil = Callable[[Any], Any]


@dataclass(frozen=True)
class Atlas:
    """What was written.

    Attributes:
        path: The page to open.
        units: Units with a page of their own.
        bytes: Size of the folder.
        left_out: Full-size pictures that did not fit into `max_mb`.
        photos_left_out: Photos that did not.
    """

    path: Path
    units: int
    bytes: int
    left_out: int
    photos_left_out: int


@dataclass(frozen=True)
class Card:
    """What the card of a published atlas says besides what is in it.

    Attributes:
        kind: `space` or `dataset`.
        licence: Of the photos.
    """

    kind: str = "space"
    licence: str | None = None


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
    eye: str | None = None,
    seed: int = 0,
    photos: bool = True,
    card: Card | None = None,
) -> Atlas:
    """Write a static site from run folders; whole or not at all.

    Args:
        folders: Run folders of any kind; a sweep brings its trials.
        out: The site's folder; an atlas that is there is replaced.
        title: Title of the page.
        max_mb: Size in MB (10^6 bytes) that photos and full-size pictures may fill the folder up to; sprites and data
            always go in.
        tile: Side of a sprite in px.
        exemplars: Strongest photos a unit; half as many of the weakest.
        paths: Show names of dataset files and absolute paths, instead of leaving them out.
        link: Refer to full-size pictures that lie beside `out`, in the same folder, instead of copying them: for the
            atlas of a run that lies within the run.
        eye: Model in whose features units are laid out on maps and have neighbours; None: no maps. What it sees is kept
            in the runs, as `map/EYE-ID.npz`.
        seed: Of the maps.
        photos: Let photos in; without them a unit that has no optimised image is an empty tile.
        card: Write a card.

    Raises:
        VitvisError: a folder is no run, none holds anything to show, `out` is something else than an atlas, or
            what can't be left out is larger than `max_mb`.
    """
    out = check_path(out)
    if out.exists() and not (out / pages.MARK).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise VitvisError(f"{out}: is there and is no atlas; choose another folder with out=FOLDER")
    veil: _Veil = (lambda value: value) if paths else tidy_value
    runs = read_runs(folders)
    backbones = read_backbones(runs)
    evaluations = [found for run in runs if run.kind == "evaluate" if (found := read_evaluation(run, veil))]
    for found in evaluations:
        found["run"].found = len(found["rows"])
    if not backbones and not evaluations:
        raise VitvisError("nothing to show: the runs hold no record yet (run their commands again to finish them)")
    sites = [site for backbone in backbones for site in backbone.sites]
    if not photos:
        _leave_photos_out(sites, evaluations)
    sight = _open_eye(eye, backbones)
    with atomic_folder(out) as partial, ThreadPoolExecutor(min(4, count_cores())) as pool:
        output = Output(partial, max_mb * 1e6)
        tables: dict[str, dict[str, Any]] = {}
        maps: dict[str, Plan] = {}
        for number, backbone in enumerate(backbones):
            tiles = _tiles(backbone) if sight is not None else None
            tables |= _write_sprites(output, backbone, tile, veil, pool, tiles)
            if sight is not None and tiles is not None:
                from vitvis.atlas.map.writing import write_map

                maps[backbone.id] = write_map(output, number, backbone, tables, tiles, sight, pool, seed=seed)
        near = {site: found for plan in maps.values() for site, found in plan.near.items()}
        _write_details(output, sites, exemplars=exemplars, paths=paths, veil=veil, near=near)
        described = [pages.describe_run(run, veil) for run in runs]
        sheets = {name: (table["sheets"], *table["mosaic"]) for name, table in tables.items()}
        worded = {name for name, table in tables.items() if any(table["words"])}
        pages.write_pages(output, title, runs, described, backbones, evaluations, sheets, worded, maps)
        about = pages.atlas_data(title, tile, described, backbones, worded, maps)
        output.promised = sum(len(script(*item)) for item in [*tables.items(), ("atlas", about)])
        wanted = pictures.rank_photos(sites, exemplars)
        wanted = wanted if photos else dict.fromkeys(wanted)
        output.promised += pictures.names_bytes(sites, wanted)
        has_images = any(picture.record for site in sites for picture in site.pictures)
        copied = pictures.copy_photos(output, wanted, 0.5 if has_images else 1)
        linked = pictures.link_pictures(sites, tables, out.resolve().parent) if link else set()
        left_out = pictures.copy_pictures(output, sites, tables, keep_text=paths, skip=linked)
        output.promised = 0
        for name, table in tables.items():
            output.write_script(f"data/{name}.js", name, table)
        output.write_script("data/photos.js", "photos", {"suffix": copied.suffix, "absent": copied.absent})
        output.write_script(pages.MARK, "atlas", about)
        if card is not None:
            write_card(partial, title, about, card.licence if photos else None, card.kind)
            output.size += (partial / CARD).stat().st_size
        if output.room < 0:
            raise VitvisError(
                f"the atlas needs {output.size / 1e6:.1f} MB without photos and full-size pictures, more than"
                f" max_mb={max_mb:g}; give fewer runs, a smaller tile=, fewer exemplars=, or a larger max_mb="
            )
    units = sum(len(site.keys) for site in sites)
    return Atlas(out / "index.html", units, output.size, left_out, copied.left_out)


def _leave_photos_out(sites: Sequence[Site], evaluations: Sequence[Any]) -> None:
    for site in sites:
        for picture in site.pictures:
            if not picture.record:
                picture.path = None
    if not evaluations and all(picture.path is None for site in sites for picture in site.pictures):
        raise VitvisError("photos=false: there is nothing else to show: no run holds an optimised image")


def _open_eye(eye: str | None, backbones: Sequence[Backbone]) -> Sight | None:
    """Load the eye of the maps where there is a backbone with units enough for one."""
    from vitvis.atlas.map import LEAST

    if eye is None or all(sum(len(site.keys) for site in backbone.sites) < LEAST for backbone in backbones):
        return None
    from vitvis.atlas.map.features import Sight

    return Sight(eye)


def _tiles(backbone: Backbone) -> Tiles | None:
    from vitvis.atlas.map import LEAST
    from vitvis.atlas.map.tiles import Tiles

    count = sum(len(site.keys) for site in backbone.sites)
    return Tiles(count) if count >= LEAST else None


def _write_sprites(
    output: Output, backbone: Backbone, tile: int, veil: _Veil, pool: ThreadPoolExecutor, tiles: Tiles | None
) -> dict[str, dict[str, Any]]:
    """Draw the sprites of all sites, and hand those of their units to `tiles`; return the columns of each by its id."""
    tables = {}
    lead = overview.lead_kind(backbone)
    first = 0
    for site in backbone.sites:

        def keep(place: int, sprite: Image.Image, first: int = first, count: int = len(site.keys)) -> None:
            if tiles is not None and place < count:
                tiles.put(first + place, sprite)

        chosen = overview.choose(site)
        sheets = draw_sheets(site.pictures, tile, chosen, pool, column=site.kind == lead, keep=keep)
        for number, data in enumerate(sheets.files):
            output.write(f"sprites/{site.id}-{number}.webp", data)
        output.write(f"sprites/{site.id}.webp", sheets.mosaic)
        tables[site.id] = site_table(site, sheets, veil)
        first += len(site.keys)
    return tables


def _write_details(
    output: Output,
    sites: Sequence[Site],
    *,
    exemplars: int,
    paths: bool,
    veil: _Veil,
    near: Mapping[str, list[list[tuple[str, int, float]]]],
) -> None:
    """Write what unit pages need beyond their site's columns, 64 units a file."""
    commands = Commands()
    for site in sites:
        details = SearchDetails(site, exemplars=exemplars, paths=paths, near=near.get(site.id))
        places: dict[int, list[int]] = {}
        for place, picture in enumerate(site.pictures):
            places.setdefault(picture.unit, []).append(place)
        for start in range(0, len(site.keys), PER_PART):
            part = []
            for unit in range(start, min(start + PER_PART, len(site.keys))):
                chosen = [(place, site.pictures[place]) for place in places[unit]]
                lines = {place: veil(commands.line(picture, site.addresses[unit])) for place, picture in chosen}
                part.append({**details.unit(unit), "commands": lines})
            name = f"{site.id}-{start // PER_PART}"
            output.write_script(f"data/{name}.js", name, part)
