"""ImageNet-S (Gao et al., arXiv 2106.03149): `validation/WNID/*.JPEG` and mask PNGs in `validation-segmentation`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from vitvis.data.boxes import fit_mask
from vitvis.data.classes import make_classes, read_words
from vitvis.data.decode import open_picture
from vitvis.data.layouts.files import images_in, no_images, subfolders
from vitvis.data.layouts.folder import Files
from vitvis.data.photo import UnusableImage
from vitvis.data.source import Request
from vitvis.errors import VitvisError

__all__ = ["ImageNetS"]

_SPLITS = {None: "validation", "val": "validation", "train": "train-semi"}
_IGNORED = 1000
#: Classes of ImageNet-1k that the 919 count as another, from the set's README.
_MERGED = {
    "n04356056": "n04355933",
    "n04493381": "n02808440",
    "n03642806": "n03832673",
    "n04008634": "n03773504",
    "n03887697": "n15075141",
}


class ImageNetS(Files):
    """ImageNet images with pixel masks.

    The path is `ImageNetS919`, `ImageNetS300` or `ImageNetS50`, or the folder that holds one of them. A mask PNG holds
    the class as red + 256 * green: 0 is background, 1000 is to be ignored (taken as background, so that both variants
    stay complements), any other number counts the set's categories from 1, in the order of sorted WordNet ids. Only
    the image's own category is its foreground where the categories are known (`ImageNetS_categories_im*.txt`, in any
    order, or all folders of the 50, 300 or 919); otherwise every category is.

    The 919 merge five pairs of classes that look the same (`n04356056` sunglasses into `n04355933` sunglass, ...):
    naming either is right.
    """

    def __init__(self, request: Request) -> None:
        super().__init__(request, split=_SPLITS.get(request.split, request.split or ""))
        root = _find_set(request, self.split)
        images, self._masks = root / self.split, root / f"{self.split}-segmentation"
        if not images.is_dir() or not self._masks.is_dir():
            hint = "; the masks of test are not published" if self.split == "test" else ""
            raise VitvisError(f"{request.spec}: holds no folders {self.split} and {self.split}-segmentation{hint}")
        wnids = subfolders(images)
        self.classes = make_classes(wnids)
        label_of = {name: label for label, name in enumerate(self.classes.ids or self.classes.names)}
        if len(wnids) == 919 or root.name == "ImageNetS919":
            self.classes.merged = {old: new for old, new in _MERGED.items() if {old, new} <= set(label_of)}
        self._category = _categories(root, wnids)
        self.list_files(images, [file for file in images_in(images) if "/" in file])
        if not self.files:
            raise no_images(request)
        self.labels = np.array([label_of[file.partition("/")[0]] for file in self.files], np.int64)
        self.objects = np.array([self._mask_file(file).is_file() for file in self.files], bool)
        self.counts["images without mask"] = int((~self.objects).sum())

    def mask(self, index: int, size: tuple[int, int], counts: Counter[str]) -> np.ndarray:
        """Return the pixels of the image's own category."""
        key = self.files[index]
        try:
            codes = np.asarray(open_picture(self._mask_file(key)).convert("RGB")).astype(int)
        except (UnusableImage, OSError, ValueError) as error:
            raise UnusableImage(f"mask can't be read ({error})") from None
        category = codes[..., 0] + 256 * codes[..., 1]
        own = self._category.get(key.partition("/")[0])
        mask = category == own if own is not None else (category != 0) & (category != _IGNORED)
        if not mask.any():
            raise UnusableImage("mask holds no pixel of its own class")
        return fit_mask(mask, size)

    def _mask_file(self, key: str) -> Path:
        return (self._masks / key).with_suffix(".png")


def _find_set(request: Request, split: str) -> Path:
    """Return the folder that is asked for, or the one `ImageNetS*` in it that has the split."""
    root = request.folder
    if (root / split).is_dir() or not root.is_dir():
        return root
    sets = [item for item in sorted(root.glob("ImageNetS*")) if (item / f"{split}-segmentation").is_dir()]
    if len(sets) > 1:
        raise VitvisError(f"{request.spec}: holds {', '.join(item.name for item in sets)}; name one of them")
    return sets[0] if sets else root


def _categories(root: Path, wnids: list[str]) -> dict[str, int]:
    for path in sorted(root.glob("ImageNetS_categories_im*.txt")):
        ids = sorted({word for row in read_words(path) for word in row if word.startswith("n")})
        return {wnid: number for number, wnid in enumerate(ids, start=1)}
    return {wnid: number for number, wnid in enumerate(wnids, start=1)} if len(wnids) in (50, 300, 919) else {}
