"""From annotations to masks: VOC XML, boxes, polygons, mask files. Pure functions."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from vitvis.data.classes import parse_label
from vitvis.data.decode import open_picture
from vitvis.data.photo import UnusableImage

__all__ = ["Annotation", "Box", "boxes_mask", "is_degenerate", "parse_polygons", "parse_voc", "polygon_mask"]


#: Modes whose one channel is the mask.
_PLAIN = ("P", "L", "1", "I;16", "I", "F")
_ENCODING = re.compile(rb"\s*<\?xml[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9._-]+)[\"'][^>]*\?>")


@dataclass(frozen=True)
class Box:
    """A box in pixels of the annotated image, 0-based, both ends inclusive."""

    name: str
    xmin: float
    ymin: float
    xmax: float
    ymax: float


@dataclass(frozen=True)
class Annotation:
    """What one VOC file says: the size the boxes refer to (None where it is missing or 0), and the boxes."""

    width: int | None
    height: int | None
    boxes: tuple[Box, ...]


def parse_voc(text: str | bytes) -> Annotation:
    """Read one Pascal VOC annotation by tag, whatever the order of the tags.

    Raises:
        UnusableImage: it is no XML, or a box lacks a side.
    """
    root = _parse_xml(text)
    boxes = []
    for item in root.iter("object"):
        corner = item.find("bndbox")
        if corner is None:
            raise UnusableImage("annotation holds an object without <bndbox>")
        try:
            sides = [float((corner.findtext(tag) or "").strip()) for tag in ("xmin", "ymin", "xmax", "ymax")]
        except ValueError:
            raise UnusableImage("annotation holds a box whose sides are no numbers") from None
        boxes.append(Box((item.findtext("name") or "").strip(), *sides))
    size = root.find("size")
    width, height = (_positive(size.findtext(tag) if size is not None else None) for tag in ("width", "height"))
    return Annotation(width, height, tuple(boxes))


def _parse_xml(text: str | bytes) -> ElementTree.Element:
    """Parse XML in any encoding that Python knows; expat takes few of several bytes a letter."""
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise UnusableImage(f"annotation is no XML ({error})") from None
    except (ValueError, LookupError) as error:
        named = _ENCODING.match(text) if isinstance(text, bytes) else None
        if named is None or not isinstance(text, bytes):
            raise UnusableImage(f"annotation is no XML ({error})") from None
    try:
        return ElementTree.fromstring(text[named.end() :].decode(named[1].decode()))
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise UnusableImage(f"annotation can't be read ({error})") from None


def is_degenerate(box: Box, *, one_pixel: bool = False) -> bool:
    """Say whether a box has no area, or a side that is no finite number.

    Args:
        box: The box.
        one_pixel: Whether a box whose ends are the same pixel is one pixel wide, because the data says that both ends
            are inclusive; in VOC files, which do not say, such a box is an accident.
    """
    finite = all(map(math.isfinite, (box.xmin, box.ymin, box.xmax, box.ymax)))
    if not finite or box.xmax < box.xmin or box.ymax < box.ymin:
        return True
    return not one_pixel and (box.xmax == box.xmin or box.ymax == box.ymin)


def boxes_mask(
    boxes: Iterable[Box], size: tuple[int, int], annotated: tuple[int | None, int | None] = (None, None)
) -> np.ndarray:
    """Draw boxes as one mask.

    A box covers the pixels `xmin ... xmax` with both ends; it is rescaled where the decoded image has another size
    than the annotated one, and every pixel it touches belongs to it.

    Args:
        boxes: Boxes in pixels of the annotated image; those with an end before their start draw nothing.
        size: `(height, width)` of the decoded image.
        annotated: `(height, width)` the boxes refer to; that of the decoded image where None.

    Returns:
        bool `[height, width]`.
    """
    height, width = size
    scale_y, scale_x = height / (annotated[0] or height), width / (annotated[1] or width)
    mask = np.zeros(size, dtype=bool)
    for box in boxes:
        if is_degenerate(box, one_pixel=True):
            continue
        left, top = math.floor(box.xmin * scale_x + 1e-6), math.floor(box.ymin * scale_y + 1e-6)
        right, bottom = math.ceil((box.xmax + 1) * scale_x - 1e-6), math.ceil((box.ymax + 1) * scale_y - 1e-6)
        mask[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = True
    return mask


def parse_polygons(text: str) -> list[tuple[int, np.ndarray]]:
    """Read lines of `class x1 y1 x2 y2 ...` in fractions of width and height.

    A line of four numbers behind the class is a box, `class x_centre y_centre width height`, as YOLO writes them.

    Returns:
        `(class, [points, 2] float of x, y)` for each line.

    Raises:
        UnusableImage: a line that can't be read.
    """
    shapes = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        try:
            values = [float(word) for word in words[1:]]
        except ValueError:
            raise UnusableImage(f"polygon file: line {number} holds more than numbers") from None
        try:
            label = parse_label(words[0])
        except UnusableImage as reason:
            raise UnusableImage(f"polygon file: line {number}: {reason}") from None
        if len(values) == 4:
            x, y, w, h = values
            values = [x - w / 2, y - h / 2, x + w / 2, y - h / 2, x + w / 2, y + h / 2, x - w / 2, y + h / 2]
        if len(values) < 6 or len(values) % 2 or not all(map(math.isfinite, values)):
            raise UnusableImage(f"polygon file: line {number} is no polygon")
        shapes.append((label, np.asarray(values, dtype=float).reshape(-1, 2)))
    return shapes


def polygon_area(points: np.ndarray) -> float:
    """Return the area of a polygon `[points, 2]` (shoelace formula)."""
    x, y = points[:, 0], points[:, 1]
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def polygon_mask(polygons: Sequence[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """Draw polygons, in fractions of width and height, as one mask bool `[height, width]`."""
    from PIL import Image, ImageDraw

    height, width = size
    picture = Image.new("1", (width, height))
    draw = ImageDraw.Draw(picture)
    for points in polygons:
        # A pixel's centre lies half a pixel into it: the point 0.5 of a width of 10 is the border of pixels 4 and 5.
        draw.polygon([(x * width - 0.5, y * height - 0.5) for x, y in points], fill=1)
    return np.asarray(picture, dtype=bool)


def read_mask(path: Path) -> np.ndarray:
    """Read a mask file: PNG (anything not 0 in any channel but alpha) or NumPy array; bool `[height, width]`."""
    if path.suffix == ".npy":
        try:
            mask = np.asarray(np.load(path, mmap_mode="r"))  # mapped, so that its head can't ask for more than the file
        except (OSError, ValueError, SyntaxError, EOFError) as error:
            raise UnusableImage(f"mask can't be read ({error})") from None
        if mask.ndim not in (2, 3) or not mask.size:
            raise UnusableImage(f"mask can't be read (an array of shape {mask.shape})")
    else:
        try:
            picture = open_picture(path)
            mask = np.asarray(picture if picture.mode in _PLAIN else picture.convert("RGB"))
        except (UnusableImage, OSError, ValueError) as error:
            raise UnusableImage(f"mask can't be read ({error})") from None
    return np.asarray(mask.astype(bool) if mask.ndim == 2 else mask.any(axis=2))


def fit_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a mask at `(height, width)` of the decoded image, by nearest neighbour where sizes differ."""
    if mask.shape == size:
        return mask
    rows = (np.arange(size[0]) + 0.5) * mask.shape[0] / size[0]
    columns = (np.arange(size[1]) + 0.5) * mask.shape[1] / size[1]
    return mask[rows.astype(int)[:, None], columns.astype(int)[None, :]]


def _positive(text: str | None) -> int | None:
    try:
        number = int(float(text or 0))
    except ValueError:
        return None
    return number if number > 0 else None
