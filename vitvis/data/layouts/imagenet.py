"""ImageNet CLS-LOC: `Data/CLS-LOC/{train,val}` and VOC boxes in `Annotations/CLS-LOC/{train,val}`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from vitvis.data.boxes import boxes_mask, is_degenerate, parse_voc
from vitvis.data.classes import Classes, imagenet_ids, make_classes, names_of, parse_label, read_words
from vitvis.data.layouts.files import find_child, images_in, no_images, subfolders
from vitvis.data.layouts.folder import Files
from vitvis.data.photo import UnusableImage
from vitvis.data.source import Request
from vitvis.errors import VitvisError, nearest

__all__ = ["ImageNet"]

_LABEL_FILES = ("LOC_val_solution.csv", "val.txt", "val_labels.txt", "labels.txt", "labels.csv", "labels.tsv")


class ImageNet(Files):
    """ImageNet, whose objects are the boxes of an image's own class, as in the work.

    The path is the folder that holds `Data` and `Annotations` (or `ILSVRC`, which holds them). A split is either one
    folder a class (train, and val as most people sort it) or flat. In a flat one the class comes from a label file
    (`LOC_val_solution.csv`, or lines of `file label` or `file wnid`), or, where there is none, from the image's own
    boxes.
    """

    def __init__(self, request: Request) -> None:
        super().__init__(request, split=request.split or "val")
        root = request.folder
        base = root / "ILSVRC" if (root / "ILSVRC" / "Data").is_dir() else root
        if not (base / "Data").is_dir() or not (base / "Annotations").is_dir():
            raise VitvisError(f"{request.spec}: holds no folders Data and Annotations")
        data, boxes = (find_child(base / name, ("CLS-LOC", ".")) or base for name in ("Data", "Annotations"))
        images = data / self.split
        if not images.is_dir():
            raise VitvisError(f"split={self.split}: no folder {images}{nearest(self.split, subfolders(data))}")
        self.list_files(images, images_in(images))
        if not self.files:
            raise no_images(request)
        self._boxes = boxes / self.split
        annotated = images_in(self._boxes, lambda name: name.endswith(".xml")) if self._boxes.is_dir() else []
        self._annotated = {PurePosixPath(file).stem: file for file in annotated}
        # Kaggle's lists lie beside ILSVRC, which people give as the root
        tops = (root, base, *([root.parent] if root.name == "ILSVRC" else []))
        self._name_classes(tops, request.label_file)
        self.objects = np.array([PurePosixPath(file).stem in self._annotated for file in self.files], bool)
        self.counts["images without annotation"] = int((~self.objects).sum())

    def mask(self, index: int, size: tuple[int, int], counts: Counter[str]) -> np.ndarray:
        """Draw the boxes of the image's own class."""
        file = self._annotated.get(PurePosixPath(self.files[index]).stem)
        if file is None or self.labels[index] < 0:
            raise UnusableImage("no annotation" if file is None else "no label")
        annotation = parse_voc((self._boxes / file).read_bytes())
        wnid = (self.classes.ids or [])[self.labels[index]]
        own = [box for box in annotation.boxes if box.name == wnid]
        usable = [box for box in own if not is_degenerate(box)]
        counts.update(
            {
                "boxes": len(own),
                "boxes of other classes": len(annotation.boxes) - len(own),
                "degenerate boxes": len(own) - len(usable),
            }
        )
        if not usable:
            raise UnusableImage("no usable box of its own class" if own else "no box of its own class")
        mask = boxes_mask(usable, size, (annotation.height, annotation.width))
        if not mask.any():
            raise UnusableImage("boxes lie outside the image")
        return mask

    def _name_classes(self, tops: Sequence[Path], label_file: Path | None) -> None:
        folders = subfolders(self.root)
        wnids = self._folder_wnids() if folders else self._flat_wnids(tops, label_file)
        mapping = next((file for top in tops if (file := find_child(top, ("LOC_synset_mapping.txt",)))), None)
        if mapping is not None:
            ids = [line.split()[0] for line in mapping.read_text(encoding="utf-8").splitlines() if line.strip()]
            self.classes = Classes(names_of(ids), ids)
        else:
            self.classes = make_classes([*wnids.values(), *folders])
        label_of = {wnid: label for label, wnid in enumerate(self.classes.ids or self.classes.names)}
        self.classes.ids = self.classes.ids or list(self.classes.names)
        for index, image in enumerate(self.files):
            if image not in wnids:
                self.faults[index] = "no label"
            elif wnids[image] not in label_of:
                self.faults[index] = f"class {wnids[image]} is not in the label set"
            else:
                self.labels[index] = label_of[wnids[image]]

    def _folder_wnids(self) -> dict[str, str]:
        return {file: PurePosixPath(file).parent.name for file in self.files if "/" in file}

    def _flat_wnids(self, tops: Sequence[Path], label_file: Path | None) -> dict[str, str]:
        if label_file is None:
            folders = (*tops, self.root, self.root.parent)
            label_file = next((found for folder in folders if (found := find_child(folder, _LABEL_FILES))), None)
        if label_file is None:
            return {file: wnid for file in self.files if (wnid := self._own_class(file))}
        return _read_labels(label_file, self.files)

    def _own_class(self, file: str) -> str | None:
        """Return the class that all boxes of a val image share: its own, as the set was annotated."""
        xml = self._annotated.get(PurePosixPath(file).stem)
        try:
            names = {box.name for box in parse_voc((self._boxes / xml).read_bytes()).boxes} if xml else set()
        except (UnusableImage, OSError):
            return None
        return names.pop() if len(names) == 1 else None


def _read_labels(label_file: Path, files: list[str]) -> dict[str, str]:
    """Read `file wnid` or `file label` (0-based, in the order of sorted ids), or one of these a line in file order."""
    rows = read_words(label_file, "label_file")
    if rows and rows[0][0].lower() in ("imageid", "file", "filename", "image"):
        rows = rows[1:]
    if rows and all(len(row) == 1 for row in rows):
        if len(rows) != len(files):
            raise VitvisError(f"label_file={label_file}: {len(rows)} labels for {len(files)} images")
        rows = [[file, row[0]] for file, row in zip(files, rows, strict=True)]
        if any(row[1] == "1000" for row in rows):
            raise VitvisError(
                f"label_file={label_file}: counts from 1, in the order of the ILSVRC kit, which is not that of models;"
                " give lines of 'file wnid' instead"
            )
    by_stem = {PurePosixPath(row[0]).stem: row[1].split()[0] for row in rows if len(row) > 1 and row[1]}
    ids = imagenet_ids()
    for stem, word in by_stem.items():
        if word.isdigit():
            try:
                by_stem[stem] = ids[parse_label(word)]
            except (UnusableImage, IndexError):
                raise VitvisError(
                    f"label_file={label_file}: '{word[:20]}' is no label from 0 to {len(ids) - 1}"
                ) from None
    return {file: by_stem[stem] for file in files if (stem := PurePosixPath(file).stem) in by_stem}
