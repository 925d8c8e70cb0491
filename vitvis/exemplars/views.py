"""What people look at: thumbnails, strips, sheets. Made once, at the end, from what a search left on the disk."""

from __future__ import annotations

import copy
import io
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitvis.errors import VitvisError
from vitvis.exemplars.loading import Transform, make_loader
from vitvis.exemplars.reading import SearchRun
from vitvis.exemplars.sources import BrokenImage, Item, Source
from vitvis.runs import read_manifest, read_records

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

__all__ = [
    "optimised_images",
    "strip_addresses",
    "write_sheets",
    "write_strips",
    "write_thumbs",
    "write_thumbs_of_stream",
]

_SHEET = 40  # strips on a sheet


def _write(path: Path, data: bytes) -> None:
    """Write a picture whole or not at all, without waiting for the disk: there are thousands, easily made again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    neighbour = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        neighbour.write_bytes(data)
        os.replace(neighbour, path)
    finally:
        neighbour.unlink(missing_ok=True)


def _jpeg(image: Tensor) -> bytes:
    from PIL import Image

    pixels = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=92, subsampling=0)
    return buffer.getvalue()


def write_thumbs(
    folder: Path, source: Source, transform: Transform, indices: Sequence[int], *, workers: int = 0
) -> None:
    """Write `thumbs/INDEX.jpg`, the model's view, of some images; those that are there already are left alone."""
    source = copy.copy(source)
    source.regions = None
    missing = [index for index in indices if not (folder / "thumbs" / f"{index}.jpg").exists()]
    for batch in make_loader(source, transform, batch_size=32, workers=workers, indices=missing):
        for image, item in zip(batch.images, batch.items, strict=True):
            _write(folder / "thumbs" / f"{item.index}.jpg", _jpeg(image))


def write_thumbs_of_stream(
    folder: Path, source: Source, transform: Transform, indices: Sequence[int], *, thumbs: bool = True
) -> list[Item]:
    """Go through a stream once more, up to the last image that is needed; return what is known about those images."""
    wanted, items = set(indices), []
    for item, load in source.stream():
        if not wanted:
            break
        if item.index in wanted:
            wanted.remove(item.index)
            items.append(item)
            path = folder / "thumbs" / f"{item.index}.jpg"
            if thumbs and not path.exists():
                try:
                    _write(path, _jpeg(transform(load())))
                except BrokenImage:  # it could be read before; the strip goes without it
                    continue
    return items


def optimised_images(fit: str | None, weights_id: str) -> dict[str, Path]:
    """Return the image that a fit run made for each address, the one of its first seed.

    Raises:
        VitvisError: the folder holds no fit run, or one of another model.
    """
    if fit is None:
        return {}
    manifest = read_manifest(fit)
    if manifest["kind"] != "fit":
        raise VitvisError(f"fit={fit}: holds a run of vitvis.{manifest['kind']}, not of vitvis.fit")
    other = (manifest.get("backbone") or {}).get("weights_id", weights_id)
    if other != weights_id:
        raise VitvisError(f"fit={fit}: was made with other weights ({other}) than this search uses ({weights_id})")
    found: dict[str, Path] = {}
    for record in sorted(read_records(fit), key=lambda record: record.get("seed") or 0):
        if record.get("status") == "ok" and record.get("image"):
            found.setdefault(record["address"], Path(fit) / record["image"])
    return found


def strip_addresses(run: SearchRun, choice: str, optimised: dict[str, Path]) -> list[str]:
    """Return the addresses of units that get a strip: `all`, `none`, or so many of each site.

    Those with an optimised image come first, then those whose best image stands out most, in standard deviations.

    Raises:
        VitvisError: the choice is none of these.
    """
    if choice == "none":
        return []
    if choice != "all" and not choice.isdigit():
        raise VitvisError(f"strips={choice}: has to be all, none, or a number of units of each site")
    number = None if choice == "all" else int(choice)
    return [record["address"] for rows in run.sites.values() for record in _by_interest(rows, optimised)[:number]]


def _by_interest(rows: Sequence[dict[str, Any]], optimised: dict[str, Path]) -> list[dict[str, Any]]:
    def interest(record: dict[str, Any]) -> tuple[bool, float]:
        best = record["strongest_activation"]
        spread = (best[0] - record["mean"]) / record["std"] if best and record["std"] else 0.0
        return record["address"] not in optimised, -spread

    return sorted(rows, key=interest)


@lru_cache(maxsize=2048)
def _open(path: Path) -> Image | None:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except OSError:
        return None


def draw_strip(run: SearchRun, address: str, optimised: Path | None, images: int) -> Image:
    """Draw the strip of one unit."""
    from vitvis.gallery.strips import strip

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


def write_strips(run: SearchRun, addresses: Sequence[str], optimised: dict[str, Path], images: int,
                 *, anew: bool = False) -> None:  # fmt: skip
    """Write `strips/SITE/UNIT.png`; those that are there already are left alone unless they are to be made anew."""
    for address in addresses:
        path = strip_path(run, address)
        if anew or not path.exists():
            buffer = io.BytesIO()
            picture = draw_strip(run, address, optimised.get(address), images)
            picture.save(buffer, format="PNG", compress_level=3)
            _write(path, buffer.getvalue())


def strip_path(run: SearchRun, address: str) -> Path:
    """Return the path of a unit's strip: `strips/SITE/UNIT.png`; a sign or direction becomes part of the name."""
    record = run.record(address)
    sign = "-" if address.startswith("-") else ""
    direction = Path(address.split("@", 1)[1].rpartition(":")[0]).stem + "_" if "@" in address else ""
    return run.path / "strips" / record["site"] / f"{sign}{direction}{record['unit']}.png"


def write_sheets(run: SearchRun, optimised: dict[str, Path], images: int = 2) -> None:
    """Write `sheets/SITE.png`: strips of units with an optimised image, then of those that stand out most."""
    from vitvis.gallery.strips import sheet

    for site, rows in run.sites.items():
        chosen = [record["address"] for record in _by_interest(rows, optimised)[:_SHEET]]
        strips = [draw_strip(run, address, optimised.get(address), images) for address in chosen]
        name = run.manifest["backbone"]["name"]
        title = f"{name}  {site}  {len(rows)} units, {rows[0]['count']:,} images"
        buffer = io.BytesIO()
        sheet(strips, columns=4, title=title).save(buffer, format="PNG")
        _write(run.path / "sheets" / f"{site}.png", buffer.getvalue())
