"""Strips and sheets of a finished search. Light: no torch, so that many processes can draw."""

from __future__ import annotations

import io
import multiprocessing
import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitvis.runs import Ledger, site_folder, write_file
from vitvis.search.reading import SearchRun

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["by_interest", "draw_strip", "strip_path", "write_picture", "write_sheets", "write_strips"]

_SHEET = 40  # strips on a sheet
_WORTH = 200  # strips for which it pays to start processes


def write_picture(run: Path, relative: str, data: bytes) -> None:
    """Write a picture of a run without waiting for the disk: there are thousands, easily made again."""
    write_file(run, relative, data, durable=False)


def by_interest(rows: Sequence[dict[str, Any]], optimised: Mapping[str, Path]) -> list[dict[str, Any]]:
    """Sort records: those with an optimised image first, then those whose best image stands out most.

    That is `(best - mean) / std` over the images.
    """

    def interest(record: dict[str, Any]) -> tuple[bool, float]:
        best = record["strongest_activation"]
        spread = (best[0] - record["mean"]) / record["std"] if best and record["std"] else 0.0
        return record["address"] not in optimised, -spread

    return sorted(rows, key=interest)


@lru_cache(maxsize=2048)
def _open(path: Path) -> Image | None:
    """Open a picture at a strip's height; most are asked for many times."""
    from vitvis.draw.opening import open_picture
    from vitvis.draw.strips import fit

    image = open_picture(path)
    return None if image is None else fit(image)


def draw_strip(run: SearchRun, address: str, optimised: Path | None, images: int) -> Image:
    """Draw the strip of one unit: `optimised image | best image | its map | next image | its map ...`.

    Args:
        run: The search.
        address: The unit.
        optimised: Image that was made for it.
        images: Exemplars at most; those whose thumbnail is gone are left out.
    """
    from vitvis.draw.strips import strip

    record, maps = run.record(address), run.unit_maps(address)
    pictures, captions, places = [], [], []
    for place, (index, value) in enumerate(zip(record["strongest_index"], record["strongest_activation"], strict=True)):
        picture = _open(run.thumb(index))
        if picture is None:
            continue
        name = (run.images.get(index) or {}).get("label_name") or ""
        pictures.append(picture)
        captions.append(f"{value:.3g} {name.split(',')[0]}".strip())
        places.append(place)
        if len(pictures) == images:
            break
    chosen = None if maps is None else maps[places].astype("float32")
    return strip(_open(optimised) if optimised else None, pictures, chosen, captions, title=address)


def strip_path(run: SearchRun, address: str) -> Path:
    """Return the path of a unit's strip: `strips/SITE/UNIT.png`; a sign or direction becomes part of the name."""
    record = run.record(address)
    sign = "-" if address.startswith("-") else ""
    own = "@" in address.removeprefix(sign).removeprefix(record["site"])  # a file of directions, not of latents
    direction = Path(address.split("@", 1)[1].rpartition(":")[0]).stem + "_" if own else ""
    folder = run.path / "strips" / site_folder(record["site"])
    return folder / f"{sign}{direction}{record['unit']}.png"


def write_strips(
    run: SearchRun,
    addresses: Sequence[str],
    optimised: Mapping[str, Path],
    images: int,
    *,
    anew: bool = False,
    processes: int = 1,
) -> int:
    """Write `strips/SITE/UNIT.png`; those that are there already are left alone unless they are to be made anew.

    Args:
        run: The search.
        addresses: The units.
        optimised: Images that were made for units.
        images: Exemplars in a strip.
        anew: Draw those that are there again.
        processes: Draw with so many, where there is enough to do and the system can fork.

    Returns:
        How many were drawn.

    Raises:
        OSError: a picture can't be written.
    """
    ledger = Ledger(run.path)
    places = {address: strip_path(run, address).relative_to(run.path).as_posix() for address in addresses}
    missing = [address for address in addresses if anew or not ledger.is_whole(places[address])]
    if processes < 2 or len(missing) < _WORTH or "fork" not in multiprocessing.get_all_start_methods():
        _write(run, missing, optimised, images)
        return len(missing)
    run.by_address, run.places, run.images  # noqa: B018  worked out once, for all processes
    fork = multiprocessing.get_context("fork")
    errors: Any = fork.SimpleQueue()
    workers = [
        fork.Process(target=_work, args=(errors, run, missing[number::processes], optimised, images), daemon=True)
        for number in range(processes)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if not errors.empty():
        raise OSError(*errors.get())
    if any(worker.exitcode for worker in workers):
        raise RuntimeError(f"drawing strips failed: exit codes {[worker.exitcode for worker in workers]}")
    return len(missing)


def _work(errors: Any, run: SearchRun, addresses: Sequence[str], optimised: Mapping[str, Path], images: int) -> None:
    try:
        _write(run, addresses, optimised, images)
    except OSError as error:  # a full disk: the main process says so, once
        errors.put((error.errno, error.strerror, str(error.filename)))
    except KeyboardInterrupt:  # likewise
        os._exit(130)


def _write(run: SearchRun, addresses: Sequence[str], optimised: Mapping[str, Path], images: int) -> None:
    for address in addresses:
        buffer = io.BytesIO()
        draw_strip(run, address, optimised.get(address), images).save(buffer, format="PNG", compress_level=1)
        write_picture(run.path, strip_path(run, address).relative_to(run.path).as_posix(), buffer.getvalue())


def write_sheets(run: SearchRun, optimised: Mapping[str, Path], images: int = 2) -> None:
    """Write `sheets/SITE.png`: strips of units with an optimised image, then of those that stand out most."""
    from vitvis.draw.strips import sheet

    for site, rows in run.sites.items():
        chosen = [record["address"] for record in by_interest(rows, optimised)[:_SHEET]]
        strips = [draw_strip(run, address, optimised.get(address), images) for address in chosen]
        name = run.manifest["backbone"]["name"]
        title = f"{name}  {site}  {len(rows)} units, {rows[0]['count']:,} images"
        buffer = io.BytesIO()
        sheet(strips, columns=4, title=title).save(buffer, format="PNG")
        write_picture(run.path, f"sheets/{site_folder(site)}.png", buffer.getvalue())
