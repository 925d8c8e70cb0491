"""Sheets of images: kinds by depth, units by depth."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image

from vitvis.draw.comparison import Cell, Heading, comparison_sheet
from vitvis.runs import atomic_write

__all__ = ["depth_sheet", "kinds_sheet", "mosaic", "stacked", "write_chart", "write_picture"]

Record = dict[str, Any]
#: No picture of the page is larger than this.
MOST_BYTES = 390_000


def mosaic(files: Sequence[Path], columns: int = 2, side: int = 96, gap: int = 2) -> Image.Image:
    """Lay pictures out in a square block of `columns * columns` places; places without one stay white."""
    size = columns * side + (columns - 1) * gap
    block = Image.new("RGB", (size, size), "white")
    for place, file in enumerate(files[: columns * columns]):
        with Image.open(file) as picture:
            tile = picture.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
        block.paste(tile, (place % columns * (side + gap), place // columns * (side + gap)))
    return block


def kinds_sheet(records: Sequence[Record], kinds: Mapping[str, str], *, title: str) -> Image.Image:
    """Draw a row a kind and a column a depth; a cell shows the first four units.

    Where there are but one or two at each depth, they get columns of their own.
    """
    shown: dict[tuple[str, int], list[Record]] = {}
    for record in records:
        shown.setdefault((record["kind"], record["depth"]), []).append(record)
    depths = sorted({record["depth"] for record in records})
    most = max((len(here) for here in shown.values()), default=0)
    apart = most <= 2
    parts = [slice(place, place + 1) for place in range(most)] if apart else [slice(4)]
    columns = [(depth, part) for depth in depths for part in parts]
    across, side = (1, 194) if apart else (2, 96)
    cells = {}
    with TemporaryDirectory() as folder:
        for row, kind in enumerate(kinds):
            for column, (depth, part) in enumerate(columns):
                here = shown.get((kind, depth), [])[part]
                files = [record["file"] for record in here if record["file"]]
                path = Path(folder) / f"{row}-{column}.png"
                mosaic(files, across, side).save(path)
                units = ", ".join(str(record["unit"]) for record in here)
                cells[row, column] = Cell(path if files else None, f"unit{'s' * (len(here) > 1)} {units}")
        rows = [Heading((name,)) for name in kinds.values()]
        heads = [Heading((f"block {depth}",)) for depth, _ in columns]
        return comparison_sheet(heads, rows, cells, title=title, tile=194)


def depth_sheet(records: Sequence[Record], *, title: str, rows: int = 4, tile: int = 96) -> Image.Image:
    """Draw a column a depth, and under it the first units of it."""
    depths = sorted({record["depth"] for record in records})
    cells = {}
    for column, depth in enumerate(depths):
        here = [record for record in records if record["depth"] == depth]
        for row, record in enumerate(here[:rows]):
            cells[row, column] = Cell(record["file"], str(record["unit"]), record["status"])
    rows = min(rows, max((row + 1 for row, _ in cells), default=0))
    return comparison_sheet(
        [Heading((f"block {depth}",)) for depth in depths], [Heading(("",))] * rows, cells, title=title, tile=tile
    )


def stacked(pictures: Sequence[Image.Image]) -> Image.Image:
    """Lay pictures out below each other."""
    page = Image.new("RGB", (max(item.width for item in pictures), sum(item.height for item in pictures)), "white")
    top = 0
    for item in pictures:
        page.paste(item, (0, top))
        top += item.height
    return page


def write_picture(picture: Image.Image, path: Path) -> str:
    """Write a sheet as a JPEG of at most 390 kB; return its name."""
    for quality in (92, 88, 84, 80, 75, 70, 60, 50):
        buffer = io.BytesIO()
        picture.save(buffer, format="JPEG", quality=quality, subsampling=0 if quality > 80 else 2, optimize=True)
        if buffer.tell() <= MOST_BYTES:
            break
    atomic_write(path, buffer.getvalue())
    return path.name


def write_chart(data: bytes, path: Path) -> str:
    """Write a chart; return its name."""
    atomic_write(path, data)
    return path.name
