"""Where the objects of an image are: box columns of a table, polygon files, mask files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vitvis.errors import VitvisError, nearest

if TYPE_CHECKING:
    from vitvis.data.sources import Source

__all__ = ["BoxColumns", "MaskFiles", "Polygons", "Regions", "open_regions"]

_SIDES = ("xmin", "ymin", "xmax", "ymax")


class Regions(ABC):
    """Masks of images, True on the object."""

    @abstractmethod
    def mask(self, source: Source, index: int, key: str, size: tuple[int, int]) -> np.ndarray | None:
        """Return bool `[height, width]` of the decoded image of that `(height, width)`, or None without a region."""


class BoxColumns(Regions):
    """Columns `xmin ymin xmax ymax` of a table: pixels, both ends inclusive, one number or a list a row."""

    def mask(self, source: Source, index: int, key: str, size: tuple[int, int]) -> np.ndarray | None:  # noqa: D102
        from vitvis.data.boxes import Box, boxes_mask

        row = source.row(index)
        sides = [row.get(side) for side in _SIDES]
        if any(side is None for side in sides):
            return None
        lists = [side if isinstance(side, list) else [side] for side in sides]
        mask = boxes_mask([Box("", *map(float, corner)) for corner in zip(*lists, strict=True)], size)
        return mask if mask.any() else None


class Polygons(Regions):
    """A text file an image, of the image's name: lines of `class x1 y1 x2 y2 ...` in fractions of width and height."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def mask(self, source: Source, index: int, key: str, size: tuple[int, int]) -> np.ndarray | None:  # noqa: D102
        from vitvis.data.boxes import parse_polygons, polygon_mask
        from vitvis.data.labelled import UnusableImage

        path = self.folder / f"{Path(key).stem}.txt"
        try:
            shapes = parse_polygons(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, UnusableImage):
            return None
        mask = polygon_mask([points for _, points in shapes], size)
        return mask if mask.any() else None


class MaskFiles(Regions):
    """A PNG or NumPy file an image, of the image's name: not 0 on the object."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def mask(self, source: Source, index: int, key: str, size: tuple[int, int]) -> np.ndarray | None:  # noqa: D102
        from vitvis.data.boxes import fit_mask, read_mask
        from vitvis.data.labelled import UnusableImage

        for suffix in (".png", ".npy"):
            path = self.folder / f"{Path(key).stem}{suffix}"
            if path.is_file():
                try:
                    mask = fit_mask(read_mask(path), size)
                except UnusableImage:
                    return None
                return mask if mask.any() else None
        return None


def open_regions(spec: str, source: Source) -> Regions | None:
    """Open regions by what the user wrote.

    Args:
        spec: `auto` (box columns where the data has them), `none`, `polygons:FOLDER` or `masks:FOLDER`.
        source: The images.

    Raises:
        VitvisError: no such kind, no such folder.
    """
    kind, _, path = spec.partition(":")
    if kind == "none":
        return None
    if kind == "auto":
        return BoxColumns() if set(_SIDES) <= set(getattr(source, "columns", ())) else None
    if kind not in ("polygons", "masks") or not path:
        kinds = ["auto", "none", "polygons", "masks"]
        raise VitvisError(f"regions={spec}{nearest(kind, kinds)} (auto, none, polygons:FOLDER or masks:FOLDER)")
    if not Path(path).is_dir():
        raise VitvisError(f"regions={spec}: no such folder")
    return Polygons(Path(path)) if kind == "polygons" else MaskFiles(Path(path))
