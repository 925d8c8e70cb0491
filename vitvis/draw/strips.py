"""Strips as in the work's figures: optimised image | best image | its map, and sheets of them.

Maps are coloured with magma, which is uniform to the eye and reads in grey. All maps of a strip share one scale, from 0
(or their smallest value, where that is negative throughout) to their largest, so that a weak image looks weak.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

__all__ = ["SIDE", "colour_map", "fit", "overlay", "scale_of", "sheet", "strip"]

#: Height of a picture in a strip, in pixels.
SIDE = 112
_GAP = 4
_SPACE = 12  # between columns of a sheet
_CAPTION = 16
_PAPER = (255, 255, 255)
_INK = (40, 40, 40)


@lru_cache(maxsize=4)
def colour_map(name: str = "magma") -> np.ndarray:
    """Return a colour map of matplotlib as uint8 `[256, 3]`."""
    import matplotlib

    return (matplotlib.colormaps[name](np.arange(256))[:, :3] * 255 + 0.5).astype(np.uint8)


@lru_cache(maxsize=4)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def scale_of(maps: np.ndarray) -> tuple[float, float]:
    """Return the ends of the colour scale for maps `[n, rows, cols]`: 0 .. largest, or smallest .. largest below 0.

    The ends differ, and NaN (a place without an image) does not count.
    """
    finite = np.asarray(maps, dtype=np.float32)
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    low = min(low, 0.0) if high <= 0 else 0.0
    return (low, high) if high > low else (low, low + 1.0)


def overlay(image: Image.Image, values: np.ndarray, scale: tuple[float, float], strength: float = 0.65) -> Image.Image:
    """Lay a patch map over an image.

    Args:
        image: RGB.
        values: `[rows, cols]`, one a patch; brought to the image's size bilinearly between the patches' centres.
        scale: Values of the darkest and the brightest colour.
        strength: 0 shows the (grey) image alone, 1 the map alone.

    Returns:
        RGB, of the image's size.
    """
    low, high = scale
    unit = np.nan_to_num((np.asarray(values, dtype=np.float32) - low) / (high - low)).clip(0, 1)
    large = np.asarray(Image.fromarray(unit).resize(image.size, Image.Resampling.BILINEAR))
    colours = Image.fromarray(colour_map()[(large * 255 + 0.5).astype(np.uint8)])
    return Image.blend(image.convert("L").convert("RGB"), colours, strength)


def strip(
    optimised: Image.Image | None,
    images: Sequence[Image.Image],
    maps: np.ndarray | None,
    captions: Sequence[str],
    *,
    title: str = "",
    side: int = SIDE,
) -> Image.Image:
    """Draw one unit: optimised image | best image | its map | next image | its map ...

    Args:
        optimised: The image made for the unit; left out when None.
        images: Exemplars, best first.
        maps: `[n, rows, cols]`, one an exemplar; left out when None.
        captions: One an exemplar, such as its activation.
        title: Stands above the first picture.
        side: Height of a picture.

    Returns:
        RGB.
    """
    scale = scale_of(maps[: len(images)]) if maps is not None else (0.0, 1.0)
    tiles: list[tuple[Image.Image, str]] = []
    if optimised is not None:
        tiles.append((fit(optimised, side), "optimised"))
    for place, image in enumerate(images):
        picture = fit(image, side)
        tiles.append((picture, captions[place] if place < len(captions) else ""))
        if maps is not None:
            tiles.append((overlay(picture, maps[place], scale), "map"))
    top = _CAPTION if title else 0
    width = sum(tile.width for tile, _ in tiles) + _GAP * (len(tiles) + 1)
    canvas = Image.new("RGB", (max(width, 60), top + side + _CAPTION + _GAP), _PAPER)
    draw = ImageDraw.Draw(canvas)
    if title:
        draw.text((_GAP, 2), title, fill=_INK, font=_font(11))
    left = _GAP
    for tile, caption in tiles:
        canvas.paste(tile, (left, top + _GAP // 2))
        draw.text((left, top + side + _GAP), _shorten(caption, tile.width), fill=_INK, font=_font(10))
        left += tile.width + _GAP
    return canvas


def sheet(strips: Sequence[Image.Image], *, columns: int = 2, title: str = "") -> Image.Image:
    """Lay strips out below a title, down one column after the other.

    Raises:
        ValueError: there are none.
    """
    if not strips:
        raise ValueError("a sheet needs at least one strip")
    columns = min(columns, len(strips))
    rows = -(-len(strips) // columns)
    blocks = [strips[first : first + rows] for first in range(0, len(strips), rows)]
    widths = [max(item.width for item in block) + _SPACE for block in blocks]
    height = max(item.height for item in strips) + _GAP
    top = 26 if title else _GAP
    canvas = Image.new("RGB", (sum(widths) + _GAP, top + rows * height), _PAPER)
    if title:
        ImageDraw.Draw(canvas).text((_GAP * 2, 5), title, fill=_INK, font=_font(14))
    for number, block in enumerate(blocks):
        for row, item in enumerate(block):
            canvas.paste(item, (_GAP + sum(widths[:number]), top + row * height))
    return canvas


def fit(image: Image.Image, side: int = SIDE) -> Image.Image:
    """Bring an image to a height of `side`, as RGB; one that has it already is returned as it is."""
    image = image.convert("RGB")
    if image.height == side:
        return image
    width = max(1, round(image.width * side / image.height))
    large = image.height * 2 >= side
    return image.resize((width, side), Image.Resampling.LANCZOS if large else Image.Resampling.BICUBIC)


def _shorten(text: str, width: int) -> str:
    font = _font(10)
    while text and font.getlength(text) > width:
        text = text[:-2] + "…" if len(text) > 2 else ""
        if text == "…":
            return ""
    return text
