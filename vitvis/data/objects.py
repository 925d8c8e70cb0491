"""Where objects are, in files of their own beside the photos: polygons or masks, one file a photo."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vitvis.data.boxes import fit_mask, parse_polygons, polygon_mask, read_mask
from vitvis.data.photo import UnusableImage
from vitvis.errors import VitvisError, nearest

__all__ = ["ObjectFolder", "open_objects"]

_SUFFIXES = {"polygons": (".txt",), "masks": (".png", ".npy", ".jpg")}


class ObjectFolder:
    """A folder of polygon files (lines of `class x1 y1 x2 y2 ...` in fractions) or of mask files (not 0 on the object).

    A photo's file has the photo's name, at the same place below the folder or at its top.
    """

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder, self.kind = folder, kind

    def find(self, key: str) -> Path | None:
        """Return the file of a photo, or None."""
        relative = Path(key).with_suffix("")
        for stem in dict.fromkeys((relative, Path(relative.name))):
            for suffix in _SUFFIXES[self.kind]:
                path = self.folder / f"{stem}{suffix}"
                if path.is_file():
                    return path
        return None

    def polygons(self, key: str) -> list[tuple[int, np.ndarray]]:
        """Return class and points of each polygon of a photo.

        Raises:
            UnusableImage: there is no file, or it can't be read.
        """
        path = self.find(key)
        if path is None:
            raise UnusableImage("no polygon file")
        try:
            return parse_polygons(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise UnusableImage(f"polygon file can't be read ({type(error).__name__})") from None

    def mask(self, key: str, size: tuple[int, int], label: int | None = None) -> np.ndarray:
        """Return a photo's mask, bool `[height, width]`; of polygons only those of the class `label`, where given.

        Raises:
            UnusableImage: there is none, or it is empty.
        """
        if self.kind == "polygons":
            shapes = self.polygons(key)
            mask = polygon_mask([points for own, points in shapes if label in (None, own)], size)
        else:
            path = self.find(key)
            if path is None:
                raise UnusableImage("no mask file")
            mask = fit_mask(read_mask(path), size)
        if not mask.any():
            raise UnusableImage("mask is empty")
        return mask


def open_objects(regions: str) -> ObjectFolder | None:
    """Open what `regions=` names: `polygons:FOLDER` or `masks:FOLDER`; None for `auto` and `none`.

    Raises:
        VitvisError: no such kind, no such folder.
    """
    kind, _, path = regions.partition(":")
    if regions in ("auto", "none"):
        return None
    if kind not in _SUFFIXES or not path:
        kinds = ("auto", "none", *_SUFFIXES)
        raise VitvisError(f"regions={regions}{nearest(kind, kinds)} (auto, none, polygons:FOLDER or masks:FOLDER)")
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise VitvisError(f"regions={regions}: no such folder")
    return ObjectFolder(folder, kind)
