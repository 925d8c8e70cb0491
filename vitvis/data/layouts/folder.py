"""A folder of images with polygon files or mask files beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vitvis.data.boxes import fit_mask, parse_polygons, polygon_area, polygon_mask, read_mask
from vitvis.data.labelled import Entry, Sample, Source, UnusableImage
from vitvis.data.layouts.files import decode, find_child, images_in, read_words
from vitvis.data.layouts.wordnet import label_set, names_of
from vitvis.errors import VitvisError

__all__ = ["FolderSource"]

_POLYGONS, _MASKS = ("polygons", "labels"), ("masks", "mask", "segmentation")
_LABELS, _CLASSES = ("labels.tsv", "labels.csv", "labels.txt"), ("classes.tsv", "classes.txt", "classes.csv")


class FolderSource(Source):
    """`images/` (or the folder itself), and `polygons/` or `masks/` with the same file names.

    Polygon files hold lines of `class x1 y1 x2 y2 ...` in fractions. The label of an image is, in this order: its row
    in `labels.tsv` (file, label or class name), the folder it lies in, the class of its largest polygon. Foreground is
    every polygon of the label's class, or all of them where the label came from elsewhere.
    """

    def __init__(self, root: Path, split: str = "val") -> None:
        super().__init__()
        base = root / split if not find_child(root, ("images", *_POLYGONS, *_MASKS)) else root
        if not base.is_dir():
            raise VitvisError(f"data=folder:{root}: no such folder")
        self._images = base / "images" if (base / "images").is_dir() else base
        self._polygons, self._masks = find_child(base, _POLYGONS), find_child(base, _MASKS)
        if self._polygons is None and self._masks is None:
            raise VitvisError(f"data=folder:{root}: holds no folder 'polygons' or 'masks' beside the images")
        apart = {folder for folder in (self._polygons, self._masks) if folder}
        paths = [path for path in images_in(self._images) if not apart & set(path.parents)]
        listed = self._listed_labels(base)
        folders = sorted({path.parent.name for path in paths if path.parent != self._images})
        names = self._class_list(base)
        by_folder = names or (label_set(folders) if folders else [])
        self._by_polygon = not listed and not folders
        found: dict[Path, int] = {}
        for path in paths:
            key = path.relative_to(self._images).as_posix()
            try:
                if listed:
                    found[path] = _label(listed.get(key, listed.get(path.name, listed.get(path.stem))), names)
                elif folders:
                    found[path] = _label(path.parent.name, by_folder)
                else:
                    found[path] = self._largest(path)
            except UnusableImage as reason:
                self.skipped.append((key, str(reason)))
        count = max([label + 1 for label in found.values()] + [len(by_folder or names)])
        known = by_folder or names
        self.class_names = [known[label] if label < len(known) else str(label) for label in range(count)]
        if self.class_names and all(name[:1] == "n" and name[1:].isdigit() for name in self.class_names):
            self.class_ids, self.class_names = self.class_names, names_of(self.class_names)
        self.entries = [Entry(path.relative_to(self._images).as_posix(), label) for path, label in found.items()]
        if not self.entries:
            raise VitvisError(f"data=folder:{root}: no image of {self._images} has a label and a mask")

    def load(self, index: int) -> Sample:
        """Decode an image and its mask."""
        entry = self.entries[index]
        path = self._images / entry.key
        mask_file = self._mask_file(entry.key)
        image = decode(path)
        size = (image.height, image.width)
        if mask_file is not None:
            mask = fit_mask(read_mask(mask_file), size)
        else:
            shapes = parse_polygons(self._polygon_text(path))
            own = [points for label, points in shapes if label == entry.label or not self._by_polygon]
            mask = polygon_mask(own, size)
        if not mask.any():
            raise UnusableImage("mask is empty")
        return Sample(image, mask, entry.label)

    def _mask_file(self, key: str) -> Path | None:
        if self._masks is None:
            return None
        stem = Path(key).with_suffix("")
        names = [stem.with_suffix(suffix) for suffix in (".png", ".npy", ".jpg")] + [Path(f"{stem.name}.png")]
        return find_child(self._masks, map(str, names))

    def _polygon_text(self, path: Path) -> str:
        if self._polygons is None:
            raise UnusableImage("no mask file")
        relative = path.relative_to(self._images).with_suffix(".txt")
        file = find_child(self._polygons, (str(relative), relative.name))
        if file is None:
            raise UnusableImage("no polygon file")
        return file.read_text()

    def _largest(self, path: Path) -> int:
        shapes = parse_polygons(self._polygon_text(path))
        if not shapes:
            raise UnusableImage("polygon file is empty")
        area: dict[int, float] = {}
        for label, points in shapes:
            area[label] = max(area.get(label, 0.0), polygon_area(np.clip(points, 0, 1)))
        return max(sorted(area), key=lambda label: area[label])

    def _listed_labels(self, base: Path) -> dict[str, str]:
        file = find_child(base, _LABELS)
        return {row[0]: row[1] for row in read_words(file) if len(row) > 1} if file and file.is_file() else {}

    def _class_list(self, base: Path) -> list[str]:
        """Read `classes.tsv`: a name a line, or `label name`, or `label wnid words`; the last column is the name."""
        file = find_child(base, _CLASSES)
        rows = read_words(file) if file else []
        if rows and all(len(row) > 1 and row[0].isdigit() for row in rows):
            by_label = {int(row[0]): row[-1] for row in rows}
            return [by_label.get(label, str(label)) for label in range(max(by_label) + 1)]
        return [row[0] for row in rows]


def _label(word: str | None, names: list[str]) -> int:
    if word is None:
        raise UnusableImage("no label")
    if word in names:
        return names.index(word)
    if word.isdigit():
        return int(word)
    raise UnusableImage(f"class {word} is not in the list of classes")
