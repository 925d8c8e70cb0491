"""Pieces of HTML for notebooks: pictures within the page, plain tables. They look right on light and dark ground."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

__all__ = ["columns", "data_uri", "escape", "picture", "table"]

_CELL = "padding:3px 14px 3px 0;text-align:left;border:0"


def data_uri(source: Path | Image.Image, side: int | None = None) -> str:
    """Return a picture as a `data:` address, at most `side` px wide and high; a file that may stay as it is stays."""
    if isinstance(source, Path) and side is None:
        data, kind = source.read_bytes(), "jpeg" if source.suffix in (".jpg", ".jpeg") else source.suffix[1:]
        return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    if isinstance(source, Path):
        with Image.open(source) as image:
            image.load()
            source = image
    shown = source.convert("RGBA" if source.mode in ("RGBA", "LA") else "RGB")
    if side is not None:
        shown.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    shown.save(buffer, "WEBP", quality=88)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def picture(uri: str, side: int, alt: str, caption: str = "", over: str | None = None) -> str:
    """Return a square picture of `side` px with a line below it; `over` is laid upon it, with its own transparency."""
    style = f"width:{side}px;height:{side}px;object-fit:cover;border-radius:4px;display:block;margin:0"
    upper = "position:absolute;left:0;top:0"
    overlay = f'<img src="{over}" alt="" style="{style};{upper}">' if over else ""
    line = f'<div style="font-size:11px;line-height:1.4;max-width:{side}px;opacity:.75">{escape(caption)}</div>'
    return (
        f'<div style="position:relative;width:{side}px"><img src="{uri}" alt="{escape(alt)}" style="{style}">'
        f"{overlay}{line if caption else ''}</div>"
    )


def columns(parts: Sequence[str], gap: int = 10) -> str:
    """Return parts side by side, in lines as wide as the page."""
    return f'<div style="display:flex;flex-wrap:wrap;gap:{gap}px;margin:6px 0 12px">{"".join(parts)}</div>'


def table(rows: Sequence[Mapping[str, Any]], most: int = 12) -> str:
    """Return rows with the same keys as a table, `most` of them, and a line that says how many are left out."""
    if not rows:
        return ""
    head = "".join(f'<th style="{_CELL};font-weight:600">{escape(str(name))}</th>' for name in rows[0])
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{escape(_text(value))}</td>' for value in row.values()) + "</tr>"
        for row in rows[:most]
    )
    rest = f'<div style="opacity:.7">and {len(rows) - most} more</div>' if len(rows) > most else ""
    return f'<table style="border-collapse:collapse"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{rest}'


def _text(value: Any) -> str:
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
