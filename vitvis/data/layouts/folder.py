"""Folders of images: a folder a class (`imagefolder:`), or any, with polygon or mask files beside them (`folder:`)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from PIL.Image import Image

from vitvis.data.boxes import polygon_area
from vitvis.data.classes import Classes, make_classes, parse_label, read_classes, read_words
from vitvis.data.decode import decode
from vitvis.data.layouts.files import find_child, images_in, no_images, open_folder, printable
from vitvis.data.objects import ObjectFolder
from vitvis.data.photo import UnusableImage
from vitvis.data.source import Request, Source

__all__ = ["Files", "Folder", "ImageFolder"]

_OBJECTS = {"masks": ("masks", "mask", "segmentation"), "polygons": ("polygons", "labels")}
_LABELS, _CLASSES = ("labels.tsv", "labels.csv", "labels.txt"), ("classes.tsv", "classes.txt", "classes.csv")


class Files(Source):
    """Photos that are files below one folder."""

    root: Path
    files: list[str]

    def list_files(self, root: Path, files: list[str]) -> None:
        """Take the photos: their paths below `root`, in order."""
        self.root, self.files, self.length = root, files, len(files)
        self.labels = np.full(len(files), -1, np.int64)

    def key(self, index: int) -> str:
        """Return a photo's path below the folder."""
        return printable(self.files[index])

    def load(self, index: int) -> Image:
        """Decode a photo."""
        return decode(self.root / self.files[index])


class ImageFolder(Files):
    """All images in folders; the folders at the top are the classes. WordNet ids get ImageNet's labels."""

    def __init__(self, request: Request) -> None:
        super().__init__(request, split=request.split or "")
        root = open_folder(request)
        self.list_files(root, [file for file in images_in(root) if "/" in file])
        if not self.files:
            raise no_images(request, "images in folders, one a class (data=folder:PATH takes them without)")
        names = [printable(file.partition("/")[0]) for file in self.files]
        self.classes = make_classes(names)
        label_of = {name: label for label, name in enumerate(self.classes.ids or self.classes.names)}
        self.labels = np.array([label_of[name] for name in names], np.int64)


class Folder(Files):
    """`images/` (or the folder itself), with `polygons/` or `masks/` of the same file names where objects are known.

    The label of an image is its row in `labels.tsv` (file, label or class name); where there is none but there are
    objects, the folder it lies in, else the class of its largest polygon. Foreground is every polygon of the label's
    class, or all of them where the label came from elsewhere.
    """

    def __init__(self, request: Request) -> None:
        super().__init__(request, split=request.split or "")
        base = open_folder(request)
        images = base / "images" if (base / "images").is_dir() else base
        found = {kind: find_child(base, names) for kind, names in _OBJECTS.items()}
        apart = tuple(f"{folder.name}/" for folder in found.values() if folder) if images == base else ()
        self.list_files(images, [file for file in images_in(images) if not file.startswith(apart or ("\0",))])
        if not self.files:
            raise no_images(request)
        self._objects = [ObjectFolder(folder, kind) for kind, folder in found.items() if folder and folder.is_dir()]
        self._by_polygon = False
        self._name_classes(base)
        if self._objects:
            self.objects = np.array([any(own.find(file) for own in self._objects) for file in self.files], bool)
            missing = "no polygon file" if self._objects[-1].kind == "polygons" else "no mask file"
            self.faults |= {int(index): missing for index in np.flatnonzero(~self.objects)}

    def mask(self, index: int, size: tuple[int, int], counts: Counter[str]) -> np.ndarray:
        """Draw a photo's mask file, or else its polygons."""
        key = self.files[index]
        own = next((objects for objects in self._objects if objects.find(key)), self._objects[-1])
        return own.mask(key, size, int(self.labels[index]) if self._by_polygon else None)

    def _name_classes(self, base: Path) -> None:
        file, listing = find_child(base, _LABELS), find_child(base, _CLASSES)
        listed = {row[0]: row[1] for row in read_words(file) if len(row) > 1} if file and file.is_file() else {}
        self.classes = read_classes(listing) if listing else Classes()
        folders = [printable(Path(file).parent.name) for file in self.files]
        if not listed and self._objects and any(folders) and not listing:
            self.classes = make_classes([name for name in folders if name])
        if not listed and not self._objects:
            self.unlabelled = "no labels.tsv and no folders of classes (data=imagefolder:PATH takes those)"
            return
        self._by_polygon = not listed and not any(folders)
        number = {name: label for label, name in enumerate(self.classes.ids or self.classes.names)}
        for index, (key, folder) in enumerate(zip(map(printable, self.files), folders, strict=True)):
            try:
                if self._by_polygon:
                    self.labels[index] = self._largest(key)
                else:
                    name, stem = Path(key).name, Path(key).stem
                    word = listed.get(key, listed.get(name, listed.get(stem))) if listed else folder
                    self.labels[index] = _label(word, number)
            except UnusableImage as reason:
                self.faults[index] = str(reason)
        count = max(int(self.labels.max()) + 1, len(self.classes))
        self.classes.names += [str(label) for label in range(len(self.classes), count)]

    def _largest(self, key: str) -> int:
        """Return the class of a photo's largest polygon."""
        polygons = next((own for own in self._objects if own.kind == "polygons"), None)
        if polygons is None:
            raise UnusableImage("no label")
        shapes = polygons.polygons(key)
        if not shapes:
            raise UnusableImage("polygon file is empty")
        area: dict[int, float] = {}
        for label, points in shapes:
            area[label] = max(area.get(label, 0.0), polygon_area(np.clip(points, 0, 1)))
        return max(sorted(area), key=lambda label: area[label])


def _label(word: str | None, number: dict[str, int]) -> int:
    if not word:
        raise UnusableImage("no label")
    if word in number:
        return number[word]
    if word.isdigit():
        return parse_label(word)
    raise UnusableImage(f"class {word} is not in the list of classes")
