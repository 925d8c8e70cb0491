"""ImageNet-S (Gao et al., arXiv 2106.03149): `validation/WNID/*.JPEG` and mask PNGs in `validation-segmentation`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from vitvis.data.boxes import fit_mask
from vitvis.data.labelled import Entry, Sample, Source, UnusableImage
from vitvis.data.layouts.files import decode, images_in, read_words, subfolders
from vitvis.data.layouts.wordnet import label_set, names_of
from vitvis.errors import VitvisError

__all__ = ["ImageNetSSource"]

_SPLITS = {"val": "validation", "train": "train-semi", "validation": "validation", "train-semi": "train-semi"}
_IGNORED = 1000
#: Classes of ImageNet-1k that the 919 count as another, from the set's README.
_MERGED = {
    "n04356056": "n04355933",
    "n04493381": "n02808440",
    "n03642806": "n03832673",
    "n04008634": "n03773504",
    "n03887697": "n15075141",
}


class ImageNetSSource(Source):
    """ImageNet images with pixel masks.

    `root` is `ImageNetS919`, `ImageNetS300` or `ImageNetS50`, or the folder that holds one of them. A mask PNG holds
    the class as red + 256 * green: 0 is background, 1000 is to be ignored (taken as background, so that both variants
    stay complements), any other number counts the set's categories from 1, in the order of sorted WordNet ids. Only
    the image's own category is its foreground where the categories are known (`ImageNetS_categories_im*.txt`, in any
    order, or all folders of the 50, 300 or 919); otherwise every category is.

    The 919 merge five pairs of classes that look the same (`n04356056` sunglasses into `n04355933` sunglass, ...):
    naming either is right.
    """

    def __init__(self, root: Path, split: str = "val") -> None:
        super().__init__()
        name = _SPLITS.get(split, split)
        root = _find_set(root, name)
        self._images, self._masks = root / name, root / f"{name}-segmentation"
        if not self._images.is_dir() or not self._masks.is_dir():
            hint = "; the masks of test are not published" if name == "test" else ""
            raise VitvisError(f"data=imagenet-s:{root}: holds no folders {name} and {name}-segmentation{hint}")
        wnids = subfolders(self._images)
        self.class_ids = label_set(wnids)
        self.class_names = names_of(self.class_ids)
        if len(wnids) == 919 or root.name == "ImageNetS919":
            self.merged = {old: new for old, new in _MERGED.items() if {old, new} <= set(self.class_ids)}
        self._category = _categories(root, wnids)
        label_of = {wnid: label for label, wnid in enumerate(self.class_ids)}
        for path in images_in(self._images):
            key = path.relative_to(self._images).as_posix()
            if (self._masks / key).with_suffix(".png").is_file() and path.parent.name in label_of:
                self.entries.append(Entry(key, label_of[path.parent.name]))
            else:
                self.counts["images without mask"] += 1
        if not self.entries:
            raise VitvisError(f"data=imagenet-s:{root}: no image of {self._images} has a mask")

    def load(self, index: int) -> Sample:
        """Decode an image and the pixels of its own category."""
        entry = self.entries[index]
        path = (self._masks / entry.key).with_suffix(".png")
        try:
            with Image.open(path) as picture:
                codes = np.asarray(picture.convert("RGB")).astype(int)
        except (OSError, SyntaxError, ValueError) as error:
            raise UnusableImage(f"mask can't be read ({type(error).__name__})") from None
        category = codes[..., 0] + 256 * codes[..., 1]
        own = self._category.get(Path(entry.key).parent.name)
        mask = category == own if own is not None else (category != 0) & (category != _IGNORED)
        if not mask.any():
            raise UnusableImage("mask holds no pixel of its own class")
        image = decode(self._images / entry.key)
        return Sample(image, fit_mask(mask, (image.height, image.width)), entry.label)


def _find_set(root: Path, name: str) -> Path:
    """Return `root`, or the one `ImageNetS*` in it that has the split."""
    if (root / name).is_dir() or not root.is_dir():
        return root
    sets = [item for item in sorted(root.glob("ImageNetS*")) if (item / f"{name}-segmentation").is_dir()]
    if len(sets) > 1:
        raise VitvisError(f"data=imagenet-s:{root}: holds {', '.join(item.name for item in sets)}; name one of them")
    return sets[0] if sets else root


def _categories(root: Path, wnids: list[str]) -> dict[str, int]:
    for path in sorted(root.glob("ImageNetS_categories_im*.txt")):
        ids = sorted({word for row in read_words(path) for word in row if word.startswith("n")})
        return {wnid: number for number, wnid in enumerate(ids, start=1)}
    return {wnid: number for number, wnid in enumerate(wnids, start=1)} if len(wnids) in (50, 300, 919) else {}
