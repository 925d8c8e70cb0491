"""A sheet that sets the same units in every setting side by side: rows are units, columns are settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vitvis.draw.opening import open_picture

if TYPE_CHECKING:
    from PIL import ImageFont
    from PIL.Image import Image

__all__ = ["Cell", "Heading", "comparison_sheet"]

_BACKGROUND, _INK, _FAINT, _BEST = (255, 255, 255), (24, 24, 27), (120, 120, 128), (0, 110, 70)
_EMPTY, _DEAD = (236, 236, 240), (70, 70, 76)
_GAP, _MARGIN = 6, 16


@dataclass(frozen=True)
class Heading:
    """Text at the head of a row or column.

    Attributes:
        lines: Text, one entry a line.
        value: A figure below it, or "".
        best: Whether to mark it.
    """

    lines: tuple[str, ...]
    value: str = ""
    best: bool = False


@dataclass(frozen=True)
class Cell:
    """One picture of the sheet.

    Attributes:
        image: File, or None where there is none.
        caption: Below it.
        status: `ok`, `dead` or `failed`; what is not ok is dimmed and says so.
    """

    image: Path | None
    caption: str = ""
    status: str = "ok"


def comparison_sheet(
    columns: Sequence[Heading],
    rows: Sequence[Heading],
    cells: Mapping[tuple[int, int], Cell],
    *,
    title: str = "",
    tile: int = 112,
) -> Image:
    """Draw the sheet.

    Args:
        columns: Settings, best first or in the order of their value.
        rows: Units, shallow first.
        cells: Picture by (row, column); what is missing is drawn as an empty tile.
        title: Above it.
        tile: Side of a picture in px.

    Returns:
        An RGB image.
    """
    from PIL import Image, ImageDraw

    font, small, bold = _font(14), _font(11), _font(18)
    label_width = max([int(font.getlength(line)) for row in rows for line in row.lines] + [40]) + 12
    column_lines = max((len(column.lines) for column in columns), default=1)
    head = (34 if title else 0) + column_lines * 16 + 26
    row_height = tile + 20 + _GAP
    width = 2 * _MARGIN + label_width + len(columns) * (tile + _GAP)
    width = max(width, 2 * _MARGIN + int(bold.getlength(title)))
    sheet = Image.new("RGB", (width, 2 * _MARGIN + head + len(rows) * row_height), _BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    if title:
        pen.text((_MARGIN, _MARGIN), title, fill=_INK, font=bold)
    for c, column in enumerate(columns):
        left = _MARGIN + label_width + c * (tile + _GAP)
        top = _MARGIN + head - 26 - len(column.lines) * 16
        for line in column.lines:
            pen.text((left, top), _fit(line, font, tile), fill=_INK, font=font)
            top += 16
        text = f"{column.value} best" if column.best and column.value else column.value
        pen.text((left, top), text, fill=_BEST if column.best else _FAINT, font=font)
        if column.best:
            pen.rectangle((left, _MARGIN + head - 6, left + tile - 1, _MARGIN + head - 4), fill=_BEST)
    for r, row in enumerate(rows):
        top = _MARGIN + head + r * row_height
        for index, line in enumerate(row.lines):
            pen.text((_MARGIN, top + 4 + index * 16), line, fill=_INK if index == 0 else _FAINT, font=font)
        for c in range(len(columns)):
            left = _MARGIN + label_width + c * (tile + _GAP)
            cell = cells.get((r, c), Cell(None, "", "missing"))
            sheet.paste(_tile(cell, tile, font), (left, top))
            pen.text((left, top + tile + 2), _fit(cell.caption, small, tile), fill=_FAINT, font=small)
    return sheet


def _tile(cell: Cell, side: int, font: ImageFont.FreeTypeFont) -> Image:
    """Return a picture of `side` px, or an empty tile that says why there is none."""
    from PIL import Image, ImageDraw

    picture = open_picture(cell.image) if cell.image is not None else None
    if picture is not None:
        scale = side / max(picture.size)
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    if picture is not None and cell.status == "ok":
        canvas = Image.new("RGB", (side, side), _BACKGROUND)
        canvas.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
        return canvas
    canvas = Image.new("RGB", (side, side), _EMPTY)
    if picture is not None:
        canvas.paste(Image.blend(picture, Image.new("RGB", picture.size, _EMPTY), 0.7), (0, 0))
    word = "no image" if cell.status in ("ok", "missing") else cell.status
    place = ((side - font.getlength(word)) / 2, side / 2 - 9)
    ImageDraw.Draw(canvas).text(place, word, fill=_DEAD, font=font)
    return canvas


def _fit(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """Shorten a text from its middle until it is no wider than `width` px."""
    if font.getlength(text) <= width:
        return text
    keep = len(text)
    while keep > 2:
        keep -= 1
        short = text[: (keep + 1) // 2] + "…" + text[-(keep // 2) :]
        if font.getlength(short) <= width:
            return short
    return text[:1]


def _font(size: int) -> ImageFont.FreeTypeFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)  # type: ignore[return-value]
