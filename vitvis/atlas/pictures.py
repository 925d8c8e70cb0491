"""What may be left out of an atlas: photos of searches and full-size pictures, the most telling first."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitvis.atlas.model import Run, Site
from vitvis.atlas.output import Output, clean_name, quoted
from vitvis.atlas.privacy import without_paths

__all__ = ["Photos", "copy_photos", "copy_pictures", "link_pictures", "names_bytes", "rank_photos"]

_NAME_BYTES = 80  # of the name of a file in the data, at most
_INDEX_BYTES = 10  # of the index of a photo


@dataclass(frozen=True)
class Photos:
    """What became of the photos of an atlas.

    Attributes:
        absent: Indices by run of those that pages name and that are not there.
        left_out: How many of these did not fit; the others were not in the run.
        suffix: Of the files of those that are there.
    """

    absent: dict[int, list[int]]
    left_out: int
    suffix: str


def rank_photos(sites: Iterable[Site], exemplars: int) -> dict[tuple[str, int], Path | None]:
    """Return the photos that unit pages name, strongest of each unit first, weakest last; None: not in the run."""
    sites = list(sites)
    there: dict[str, set[str]] = {}
    found: dict[tuple[str, int], Path | None] = {}
    ranks = [("strongest_index", rank) for rank in range(exemplars)]
    ranks += [("weakest_index", rank) for rank in range((exemplars + 1) // 2)]
    for column, rank in ranks:
        for site in sites:
            for run, records in site.searches:
                if run.id not in there:
                    there[run.id] = _names(run)
                names = there[run.id]
                for record in records.values():
                    indices = record.get(column) or ()
                    if rank < len(indices) and (key := (run.id, int(indices[rank]))) not in found:
                        name = f"{key[1]}.jpg"
                        found[key] = run.file(f"thumbs/{name}") if name in names else None
    return found


def copy_photos(out: Output, wanted: dict[tuple[str, int], Path | None], share: float) -> Photos:
    """Copy photos until they fill a share of the room: as they are if all fit, else as small WebP."""
    room = out.room * share
    shrink = sum(path.stat().st_size for path in wanted.values() if path) > room
    suffix = "webp" if shrink else "jpg"
    absent: dict[int, list[int]] = {}
    left_out = 0
    for (run, index), path in wanted.items():
        data = b"" if path is None else path.read_bytes()
        if shrink and data:
            data = _to_webp(data, quality=70, side=112)
        if not data or len(data) > room:
            absent.setdefault(int(run[1:]), []).append(index)
            left_out += bool(data)
            continue
        room -= len(data)
        out.write(f"thumbs/{run}/{index}.{suffix}", data)
    return Photos({run: sorted(found) for run, found in sorted(absent.items())}, left_out, suffix)


def copy_pictures(
    out: Output,
    sites: Sequence[Site],
    tables: dict[str, dict[str, Any]],
    *,
    keep_text: bool,
    skip: set[tuple[str, int]],
) -> int:
    """Copy full-size pictures until the limit and note their files in the tables; return how many were left out.

    Tiles come first, then other seeds and runs, then strips; all as they are if all fit, else as WebP.

    Args:
        out: Where to.
        sites: Whose pictures.
        tables: The columns of each site by its id; `file` and `strip` are filled in.
        keep_text: Whether text chunks with absolute paths stay in PNGs.
        skip: Places `(site, place)` that need no copy.
    """
    jobs = [job for job in _jobs(sites) if (job[1], job[2]) not in skip]
    shrink = sum(path.stat().st_size for *_, path in jobs) > out.room
    left_out = 0
    for order, site, place, name, path in sorted(jobs, key=lambda job: job[0]):
        data = path.read_bytes()
        if shrink:
            data = _to_webp(data)
        elif not keep_text:
            data = without_paths(data)
        if len(data) > out.room:
            left_out += 1
            continue
        file = clean_name(name) + (".webp" if shrink else path.suffix)
        out.write(file, data)
        tables[site]["strip" if order == 2 else "file"][place] = file
    return left_out


def names_bytes(sites: Sequence[Site], photos: Sized) -> int:
    """Return the bytes that the names of all full-size pictures and photos take in the data, at most."""
    return _NAME_BYTES * len(_jobs(sites)) + _INDEX_BYTES * len(photos) + 100


def link_pictures(sites: Sequence[Site], tables: dict[str, dict[str, Any]], home: Path) -> set[tuple[str, int]]:
    """Refer to full-size pictures within `home`, the folder that holds the atlas; return which ones."""
    linked = set()
    for order, site, place, _, path in _jobs(sites):
        path = path.resolve()
        if path.is_relative_to(home):
            address = "../" + "/".join(quoted(part) for part in path.relative_to(home).parts)
            tables[site]["strip" if order == 2 else "file"][place] = address
            linked.add((site, place))
    return linked


def _jobs(sites: Sequence[Site]) -> list[tuple[int, str, int, str, Path]]:
    """Return `(order, site, place, name without suffix, file)` of all full-size pictures and strips."""
    jobs: list[tuple[int, str, int, str, Path]] = []
    for site in sites:
        for place, picture in enumerate(site.pictures):
            if picture.path is not None and picture.record:
                name = f"{site.id}/{picture.run.id}-{picture.path.stem}"
                jobs.append((int(place >= len(site.keys)), site.id, place, f"images/{name}", picture.path))
                if picture.strip is not None:
                    jobs.append((2, site.id, place, f"progress/{name}", picture.strip))
    return jobs


def _names(run: Run) -> set[str]:
    folder = run.path / "thumbs"
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def _to_webp(data: bytes, quality: int = 85, side: int | None = None) -> bytes:
    """Return a picture as WebP, at most `side` px wide and high; the data itself where it is no picture."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            picture = image.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return data
    if side is not None:
        picture.thumbnail((side, side))
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=quality, method=2)
    return buffer.getvalue()
