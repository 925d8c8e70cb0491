"""Contact sheets: one row a site, one tile an image, with labels that can be read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from vitvis.draw.opening import open_picture

__all__ = ["Row", "Tile", "draw_sheets", "rows_of_records"]

COLUMNS = 16
LINES_A_SITE = 4
LINES_A_PAGE = 40

_PAPER, _INK, _FAINT, _DEAD, _FAILED = "#ffffff", "#1a1a1a", "#6b6b6b", "#9a5b00", "#b00020"
_GAP, _MARGIN, _CAPTION = 8, 20, 34


@dataclass
class Tile:
    """One picture with its caption.

    Attributes:
        image: A picture, the path of one, or None for an empty, hatched tile.
        label: Bold first line of the caption: the unit.
        note: Faint second line: its activation.
        status: `ok`, `dead` or `failed`; anything but `ok` is marked.
    """

    image: Image.Image | Path | None
    label: str
    note: str = ""
    status: str = "ok"


@dataclass
class Row:
    """The tiles of one site, under one heading."""

    title: str
    tiles: list[Tile] = field(default_factory=list)
    note: str = ""


def rows_of_records(records: Iterable[dict[str, Any]], folder: str | Path) -> list[Row]:
    """Return the rows of a run's records: sites from shallow to deep, units in order, seeds beside each other."""
    records = sorted(records, key=lambda r: (r["depth"], r["site"], r["unit"], r["sign"], r["address"], r["seed"]))
    several_seeds = len({record["seed"] for record in records}) > 1
    rows: dict[str, Row] = {}
    for record in records:
        row = rows.setdefault(record["site"], Row(record["site"]))
        label = str(record["unit"]) if record["sign"] > 0 else f"\N{MINUS SIGN}{record['unit']}"
        if record.get("direction"):
            prompt = record["direction"].startswith(("text:", "image:"))
            label = record["address"] if prompt else f"@{Path(record['direction']).stem}:{label}"
        path = Path(folder) / record["image"] if record["image"] else None
        tile = Tile(path, label + (f" s{record['seed']}" if several_seeds else ""), status=record["status"])
        if record["activation"] is not None:
            tile.note = f"{record['activation']:.3g}"
        row.tiles.append(tile)
    for row in rows.values():
        row.note = f"{len(row.tiles)} images"
    return list(rows.values())


def draw_sheets(
    rows: Sequence[Row], *, title: str = "", subtitle: str = "", tile: int | None = None
) -> list[Image.Image]:
    """Draw rows of tiles on as many pages as they need.

    A row breaks after 16 tiles and shows four lines of them at most; a page has 40 lines.

    Args:
        rows: In order from top to bottom.
        title: Large first line of every page.
        subtitle: Faint line under it.
        tile: Longer side of a tile in px; chosen from the pictures when None (small ones are enlarged).

    Returns:
        RGB pages, at least one.
    """
    lines: list[tuple[Row, int, list[Tile]]] = []
    for row in rows:
        for number in range(min(LINES_A_SITE, max(1, math.ceil(len(row.tiles) / COLUMNS)))):
            lines.append((row, number, row.tiles[number * COLUMNS : (number + 1) * COLUMNS]))
    pages = [lines[start : start + LINES_A_PAGE] for start in range(0, len(lines), LINES_A_PAGE)] or [[]]
    width, height = _tile_size(rows, tile)
    return [_draw_page(page, width, height, title, subtitle, f"{i + 1} / {len(pages)}") for i, page in enumerate(pages)]


def _tile_size(rows: Sequence[Row], longest: int | None) -> tuple[int, int]:
    size = next((size for row in rows for tile in row.tiles if (size := _size(tile.image))), None)
    if size is None:
        return longest or 128, longest or 128
    if longest is None:
        columns = max(min(len(row.tiles), COLUMNS) for row in rows)
        longest = max(128, min(max(size), 224 if columns <= 8 else 160))
    scale = longest / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _size(image: Image.Image | Path | None) -> tuple[int, int] | None:
    if not isinstance(image, Path):
        return image.size if image is not None else None
    try:
        with Image.open(image) as opened:
            return opened.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None


def _draw_page(
    lines: list[tuple[Row, int, list[Tile]]], width: int, height: int, title: str, subtitle: str, number: str
) -> Image.Image:
    fonts = {size: ImageFont.load_default(size) for size in (13, 15, 18, 26)}
    names = [row.title for row, _, _ in lines]
    left = _MARGIN + 16 + max([100, *(math.ceil(fonts[18].getlength(name)) for name in names)])
    columns = max([1, *(len(tiles) for _, _, tiles in lines)])
    top = _MARGIN + (40 if title else 0) + (28 if subtitle else 0)
    heads = [math.ceil(fonts[26].getlength(title)), math.ceil(fonts[15].getlength(subtitle)) + 60]
    page_width = max(left + columns * (width + _GAP) + _MARGIN, *(head + 2 * _MARGIN for head in heads))
    page = Image.new("RGB", (page_width, top + len(lines) * (height + _CAPTION + _GAP) + _MARGIN), _PAPER)
    draw = ImageDraw.Draw(page)
    if title:
        draw.text((_MARGIN, _MARGIN), title, _INK, fonts[26])
    if subtitle:
        draw.text((_MARGIN, top - 24), subtitle, _FAINT, fonts[15])
    if number != "1 / 1":
        draw.text((page_width - _MARGIN, _MARGIN), number, _FAINT, fonts[15], anchor="ra")
    for index, (row, line, tiles) in enumerate(lines):
        y = top + index * (height + _CAPTION + _GAP)
        if line == 0:
            draw.text((_MARGIN, y + 2), row.title, _INK, fonts[18])
            draw.text((_MARGIN, y + 28), row.note, _FAINT, fonts[15])
            hidden = len(row.tiles) - LINES_A_SITE * COLUMNS
            if hidden > 0:
                draw.text((_MARGIN, y + 48), f"{hidden} not shown", _FAINT, fonts[15])
        for column, tile in enumerate(tiles):
            _draw_tile(page, draw, tile, (left + column * (width + _GAP), y), (width, height), fonts)
    return page


def _draw_tile(
    page: Image.Image,
    draw: ImageDraw.ImageDraw,
    tile: Tile,
    at: tuple[int, int],
    size: tuple[int, int],
    fonts: dict[int, Any],
) -> None:
    x, y = at
    if tile.image is None:
        page.paste(_hatched(size), at)
    else:
        page.paste(_load(tile.image, size), at)
    colour = {"dead": _DEAD, "failed": _FAILED}.get(tile.status)
    if colour:
        draw.rectangle((x - 2, y - 2, x + size[0] + 1, y + size[1] + 1), outline=colour, width=2)
        draw.line((x, y + size[1] - 1, x + size[0] - 1, y), fill=colour, width=2)
    draw.text((x, y + size[1] + 3), _fit(tile.label, fonts[15], size[0]), _INK, fonts[15])
    note = tile.note if tile.status == "ok" else f"{tile.status} {tile.note}".strip()
    draw.text((x, y + size[1] + 19), _fit(note, fonts[13], size[0]), colour or _FAINT, fonts[13])


def _load(image: Image.Image | Path, size: tuple[int, int]) -> Image.Image:
    if isinstance(image, Path):
        opened = open_picture(image)
        if opened is None:
            return _hatched(size)
        image = opened
    return image.convert("RGB").resize(size, Image.Resampling.LANCZOS) if image.size != size else image.convert("RGB")


def _hatched(size: tuple[int, int]) -> Image.Image:
    tile = Image.new("RGB", size, "#eeeeee")
    draw = ImageDraw.Draw(tile)
    for start in range(-size[1], size[0], 10):
        draw.line((start, size[1], start + size[1], 0), fill="#cccccc")
    return tile


def _fit(text: str, font: Any, width: int) -> str:
    """Shorten a text from its front, where addresses differ least, until it fits."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength("\N{HORIZONTAL ELLIPSIS}" + text) > width:
        text = text[1:]
    return "\N{HORIZONTAL ELLIPSIS}" + text
