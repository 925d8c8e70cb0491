"""What people look at: thumbnails, and which strips. Made once, at the end, from what a search left on the disk."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitvis.data.loader import ModelView, make_loader
from vitvis.data.photo import Entry, UnusableImage
from vitvis.data.source import Source
from vitvis.errors import VitvisError
from vitvis.runs import Ledger, inside, read_manifest, read_records
from vitvis.search.drawing import by_interest, draw_strip, write_picture, write_sheets, write_strips
from vitvis.search.reading import SearchRun

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "draw_strip",
    "optimised_images",
    "strip_addresses",
    "write_sheets",
    "write_strips",
    "write_thumbs",
    "write_thumbs_of_stream",
]


def _jpeg(image: Tensor, bands: Sequence[int] | None) -> bytes:
    """Return uint8 `[C, H, W]` as a JPEG of what is shown of it."""
    from PIL import Image

    from vitvis.draw.bands import show_bands

    buffer = io.BytesIO()
    Image.fromarray(show_bands(image.permute(1, 2, 0).numpy(), bands)).save(
        buffer, format="JPEG", quality=92, subsampling=0
    )
    return buffer.getvalue()


def write_thumbs(
    folder: Path,
    source: Source,
    view: ModelView,
    indices: Sequence[int],
    *,
    workers: int = 0,
    bands: Sequence[int] | None = None,
) -> None:
    """Write `thumbs/INDEX.jpg`, the model's view, of some images; those that are there already are left alone."""
    ledger = Ledger(folder)
    missing = [index for index in indices if not ledger.is_whole(f"thumbs/{index}.jpg")]
    for batch in make_loader(source, view, batch_size=32, workers=workers, indices=missing, objects=False):
        if batch.failure:
            raise VitvisError(batch.failure)
        for image, entry in zip(batch.tensors.get("images", ()), batch.entries, strict=True):
            write_picture(folder, f"thumbs/{entry.index}.jpg", _jpeg(image, bands))


def write_thumbs_of_stream(
    folder: Path,
    source: Source,
    view: ModelView,
    indices: Sequence[int],
    *,
    thumbs: bool = True,
    bands: Sequence[int] | None = None,
) -> list[Entry]:
    """Go through a stream once more, up to the last image that is needed; return what is known about those images."""
    wanted, entries, ledger = set(indices), [], Ledger(folder)
    for entry, read in source.stream(lambda first, stop: any(first <= index < stop for index in wanted)):
        if entry.index in wanted:
            wanted.remove(entry.index)
            entries.append(entry)
            path = f"thumbs/{entry.index}.jpg"
            if thumbs and not ledger.is_whole(path):
                try:
                    write_picture(folder, path, _jpeg(view(read())["images"][0], bands))
                except UnusableImage:  # it could be read before; the strip goes without it
                    continue
        if not wanted:
            break
    return entries


def check_fit(fit: str | None) -> dict[str, Any]:
    """Return the manifest of a fit run; that of none is empty.

    Raises:
        VitvisError: the folder holds no fit run.
    """
    manifest = {} if fit is None else read_manifest(fit)
    if manifest.get("kind", "fit") != "fit":
        raise VitvisError(f"fit={fit}: holds a run of vitvis.{manifest['kind']}, not of vitvis.fit")
    return manifest


def optimised_images(fit: str | None, weights_id: str) -> dict[str, Path]:
    """Return the image that a fit run made for each address, the one of its first seed.

    Raises:
        VitvisError: the folder holds no fit run, or one of another model.
    """
    if fit is None:
        return {}
    manifest = check_fit(fit)
    other = (manifest.get("backbone") or {}).get("weights_id", weights_id)
    if other != weights_id:
        raise VitvisError(f"fit={fit}: was made with other weights ({other}) than this search uses ({weights_id})")
    found: dict[str, Path] = {}
    for record in sorted(read_records(fit), key=lambda record: record.get("seed") or 0):
        path = inside(fit, record.get("image"))
        if record.get("status") == "ok" and path is not None:
            found.setdefault(record["address"], path)
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
    return [record["address"] for rows in run.sites.values() for record in by_interest(rows, optimised)[:number]]
