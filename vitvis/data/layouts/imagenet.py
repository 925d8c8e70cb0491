"""ImageNet CLS-LOC: `Data/CLS-LOC/{train,val}` and VOC boxes in `Annotations/CLS-LOC/{train,val}`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vitvis.data.boxes import boxes_mask, is_degenerate, parse_voc
from vitvis.data.labelled import Entry, Sample, Source, UnusableImage
from vitvis.data.layouts.files import decode, find_child, images_in, read_words, subfolders
from vitvis.data.layouts.wordnet import label_set, names_of
from vitvis.errors import VitvisError, nearest

__all__ = ["ImageNetSource"]

_LABEL_FILES = ("LOC_val_solution.csv", "val.txt", "val_labels.txt", "labels.txt", "labels.csv", "labels.tsv")


class ImageNetSource(Source):
    """ImageNet images that have boxes of their own class, as in the work.

    `root` is the folder that holds `Data` and `Annotations` (or `ILSVRC`, which holds them). A split is either one
    folder a class (train, and val as most people sort it) or flat. In a flat one the class comes from a label file
    (`LOC_val_solution.csv`, or lines of `file label` or `file wnid`), or, where there is none, from the image's own
    boxes.
    """

    def __init__(self, root: Path, split: str = "val", label_file: Path | None = None) -> None:
        super().__init__()
        base = root / "ILSVRC" if (root / "ILSVRC" / "Data").is_dir() else root
        if not (base / "Data").is_dir() or not (base / "Annotations").is_dir():
            raise VitvisError(f"data=imagenet:{root}: holds no folders Data and Annotations")
        data, boxes = (find_child(base / name, ("CLS-LOC", ".")) or base for name in ("Data", "Annotations"))
        if not (data / split).is_dir():
            splits = subfolders(data)
            raise VitvisError(f"split={split}: no folder {data / split}{nearest(split, splits)}")
        self._images, self._boxes = data / split, boxes / split
        # Kaggle's lists lie beside ILSVRC, which people give as the root
        tops = (root, base, *([root.parent] if root.name == "ILSVRC" else []))
        paths = images_in(self._images)
        classes = subfolders(self._images)
        wnids = self._folder_wnids(paths) if classes else self._flat_wnids(paths, tops, label_file)
        mapping = next((file for top in tops if (file := find_child(top, ("LOC_synset_mapping.txt",)))), None)
        if mapping is not None:
            self.class_ids = [line.split()[0] for line in mapping.read_text().splitlines() if line.strip()]
        else:
            self.class_ids = label_set(sorted({*wnids.values(), *classes}))
        self.class_names = names_of(self.class_ids)
        label_of = {wnid: label for label, wnid in enumerate(self.class_ids)}
        for path in paths:
            key = path.relative_to(self._images).as_posix()
            if path not in wnids:
                self.skipped.append((key, "no label"))
            elif not self._annotation(path, wnids[path]).is_file():
                self.counts["images without annotation"] += 1
            elif wnids[path] not in label_of:
                self.skipped.append((key, f"class {wnids[path]} is not in the label set"))
            else:
                self.entries.append(Entry(key, label_of[wnids[path]]))
        if not self.entries:
            raise VitvisError(f"data=imagenet:{root}: no image of {self._images} has a label and an annotation")

    def load(self, index: int) -> Sample:
        """Decode an image and draw the boxes of its own class."""
        entry = self.entries[index]
        path = self._images / entry.key
        wnid = self.class_ids[entry.label]  # type: ignore[index]
        annotation = parse_voc(self._annotation(path, wnid).read_bytes())
        own = [box for box in annotation.boxes if box.name == wnid]
        usable = [box for box in own if not is_degenerate(box)]
        counts = {
            "boxes": len(own),
            "boxes of other classes": len(annotation.boxes) - len(own),
            "degenerate boxes": len(own) - len(usable),
        }
        if not usable:
            raise UnusableImage("no usable box of its own class" if own else "no box of its own class", counts)
        image = decode(path)
        mask = boxes_mask(usable, (image.height, image.width), (annotation.height, annotation.width))
        if not mask.any():
            raise UnusableImage("boxes lie outside the image", counts)
        return Sample(image, mask, entry.label, counts)

    def _annotation(self, path: Path, wnid: str) -> Path:
        relative = path.relative_to(self._images).with_suffix(".xml")
        sorted_in, flat = self._boxes / wnid / relative.name, self._boxes / relative.name
        return next((item for item in (self._boxes / relative, flat) if item.is_file()), sorted_in)

    def _folder_wnids(self, paths: list[Path]) -> dict[Path, str]:
        return {path: path.parent.name for path in paths if path.parent != self._images}

    def _flat_wnids(self, paths: list[Path], tops: Sequence[Path], label_file: Path | None) -> dict[Path, str]:
        if label_file is None:
            folders = (*tops, self._images, self._images.parent)
            label_file = next((found for folder in folders if (found := find_child(folder, _LABEL_FILES))), None)
        if label_file is None:
            return {path: wnid for path in paths if (wnid := self._own_class(path))}
        return _read_labels(label_file, paths)

    def _own_class(self, path: Path) -> str | None:
        """Return the class that all boxes of a val image share: its own, as the set was annotated."""
        xml = self._boxes / path.with_suffix(".xml").name
        try:
            names = {box.name for box in parse_voc(xml.read_bytes()).boxes} if xml.is_file() else set()
        except UnusableImage:
            return None
        return names.pop() if len(names) == 1 else None


def _read_labels(label_file: Path, paths: list[Path]) -> dict[Path, str]:
    """Read `file wnid` or `file label` (0-based, in the order of sorted ids), or one of these a line in file order."""
    if not label_file.is_file():
        raise VitvisError(f"label_file={label_file}: no such file")
    rows = read_words(label_file)
    if rows and rows[0][0].lower() in ("imageid", "file", "filename", "image"):
        rows = rows[1:]
    if rows and all(len(row) == 1 for row in rows):
        if len(rows) != len(paths):
            raise VitvisError(f"label_file={label_file}: {len(rows)} labels for {len(paths)} images")
        rows = [[path.name, row[0]] for path, row in zip(paths, rows, strict=True)]
        numbers = [int(row[1]) for row in rows if row[1].isdigit()]
        if numbers and max(numbers) == 1000:
            raise VitvisError(
                f"label_file={label_file}: counts from 1, in the order of the ILSVRC kit, which is not that of models;"
                " give lines of 'file wnid' instead"
            )
    by_stem = {Path(row[0]).stem: row[1].split()[0] for row in rows if len(row) > 1 and row[1]}
    if any(word.isdigit() for word in by_stem.values()):
        from vitvis.data.layouts.wordnet import imagenet_ids

        ids = imagenet_ids()
        wrong = next((word for word in by_stem.values() if not word.isdigit() or int(word) >= len(ids)), None)
        if wrong is not None:
            raise VitvisError(f"label_file={label_file}: '{wrong}' is no label from 0 to {len(ids) - 1}")
        by_stem = {stem: ids[int(word)] for stem, word in by_stem.items()}
    return {path: by_stem[path.stem] for path in paths if path.stem in by_stem}
