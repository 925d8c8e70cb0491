"""Sprites: the pictures of a site on sheets of bounded size, and the mosaic that stands for it on the index."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from vitvis.atlas.model import Picture

__all__ = ["COLUMNS", "MOSAIC", "PER_SHEET", "Sheets", "draw_mosaic", "draw_sheets"]

COLUMNS = 16
PER_SHEET = COLUMNS * COLUMNS
MOSAIC = 4
_MOSAIC_WIDTH, _MOSAIC_GAP = 192, 4
_EMPTY = (30, 32, 38)


@dataclass
class Sheets:
    """What drawing the sheets of one site found out.

    Attributes:
        files: The sheets, as WebP.
        colours: Mean colour of each picture as `rrggbb`: what a tile shows until its sheet is there.
        sizes: Width and height of each picture; (0, 0) where it is missing.
        alpha: Whether each picture has an alpha channel; sprites show it without.
        mosaic: The chosen pictures in a square or a column, as WebP.
        mosaic_size: Its width and height.
    """

    files: list[bytes] = field(default_factory=list)
    colours: list[str] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    alpha: list[int] = field(default_factory=list)
    mosaic: bytes = b""
    mosaic_size: tuple[int, int] = (1, 1)


def draw_sheets(
    pictures: Sequence[Picture],
    tile: int,
    chosen: Sequence[int],
    pool: ThreadPoolExecutor,
    *,
    column: bool = False,
    keep: Callable[[int, Image.Image], None] | None = None,
) -> Sheets:
    """Draw all pictures of a site.

    Args:
        pictures: In the order of their places: sheet `i // 256`, row and column of `i % 256` on 16 x 16.
        tile: Side of a sprite in px.
        chosen: Up to four pictures for the mosaic.
        pool: Threads; decoding and resizing happen in them.
        column: Whether the mosaic is a column, which shows them larger; else a square.
        keep: Is handed place and sprite of each picture that could be read.
    """
    sheets = Sheets()
    kept: dict[int, Image.Image] = {}
    encoding: Future[bytes] | None = None  # the sheet before, while the next is drawn
    for start in range(0, len(pictures), PER_SHEET):
        part = pictures[start : start + PER_SHEET]
        rows = -(-len(part) // COLUMNS)
        sheet = Image.new("RGB", (COLUMNS * tile, rows * tile), _EMPTY)
        loaded = pool.map(lambda picture: _load(picture.path, tile), part)
        for place, (sprite, size, alpha) in enumerate(loaded):
            sheets.sizes.append(size)
            sheets.alpha.append(int(alpha))
            sheets.colours.append("{:02x}{:02x}{:02x}".format(*_mean(sprite)) if sprite else "")
            if sprite is None:
                continue
            sheet.paste(sprite, (place % COLUMNS * tile, place // COLUMNS * tile))
            if keep is not None:
                keep(start + place, sprite)
            if start + place in chosen:
                kept[start + place] = sprite
        if encoding is not None:
            sheets.files.append(encoding.result())
        encoding = pool.submit(_webp, sheet)
    if encoding is not None:
        sheets.files.append(encoding.result())
    mosaic = draw_mosaic([kept[place] for place in chosen if place in kept], column=column)
    sheets.mosaic, sheets.mosaic_size = _webp(mosaic), mosaic.size
    return sheets


def _load(path: Path | None, tile: int) -> tuple[Image.Image | None, tuple[int, int], bool]:
    if path is None:
        return None, (0, 0), False
    try:
        with Image.open(path) as image:
            image.load()
            size, alpha, picture = image.size, image.mode in ("RGBA", "LA"), image.convert("RGB")
    except (OSError, SyntaxError):  # a damaged picture is an empty tile, not the end of the atlas
        return None, (0, 0), False
    side = min(size)
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    box = (left, top, left + side, top + side)
    method = Image.Resampling.LANCZOS if side > tile else Image.Resampling.BICUBIC
    reduce = {"reducing_gap": 2.0} if side > 2 * tile else {}
    return picture.resize((tile, tile), method, box=box, **reduce), size, alpha


def _mean(sprite: Image.Image) -> tuple[int, int, int]:
    return sprite.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))  # type: ignore[return-value]


def draw_mosaic(sprites: Sequence[Image.Image], *, column: bool) -> Image.Image:
    """Return sprites one below the other (`column`), or four, else one, in a square; RGBA, 192 px wide."""
    columns = 1 if column or len(sprites) < MOSAIC else 2
    shown = sprites[:MOSAIC] if column or columns > 1 else sprites[:1]
    cell = (_MOSAIC_WIDTH - (columns - 1) * _MOSAIC_GAP) // columns
    rows = max(1, -(-len(shown) // columns))
    canvas = Image.new("RGBA", (_MOSAIC_WIDTH, rows * (cell + _MOSAIC_GAP) - _MOSAIC_GAP))  # gaps let the page through
    for place, sprite in enumerate(shown):
        corner = (place % columns * (cell + _MOSAIC_GAP), place // columns * (cell + _MOSAIC_GAP))
        canvas.paste(sprite.resize((cell, cell), Image.Resampling.BICUBIC), corner)
    return canvas


def _webp(image: Image.Image, quality: int = 82) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=quality, method=3)
    return buffer.getvalue()
