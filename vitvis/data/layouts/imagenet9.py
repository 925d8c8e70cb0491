"""ImageNet-9, the Backgrounds Challenge (Xiao et al., arXiv 2006.09994): `VARIANT/val/00_dog/*.JPEG`."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from vitvis.data.boxes import fit_mask, read_mask
from vitvis.data.labelled import Entry, Sample, Source, UnusableImage
from vitvis.data.layouts.files import decode, images_in, subfolders
from vitvis.errors import VitvisError

__all__ = ["IN9_VARIANTS", "ImageNet9Source"]

#: The variants of the release, in the order of the table; folders beside these are taken too.
IN9_VARIANTS = (
    "original", "mixed_same", "mixed_rand", "mixed_next", "no_fg", "only_fg", "only_bg_b", "only_bg_t",
)  # fmt: skip
_OBJECT = re.compile(r"(?:fg_)?(n\d+_\d+)")


class ImageNet9Source(Source):
    """The variants of the Backgrounds Challenge; each folder is a variant of its own, no mask is needed.

    The BG-gap is the accuracy on `mixed_same` less that on `mixed_rand`. Images of one foreground are compared as
    pairs: file names begin with the foreground's id. `fg_mask/val/CLASS/*.npy` has the names of `original`, as the
    release's own `challenge_eval.py` reads it.
    """

    def __init__(self, root: Path, split: str = "val") -> None:
        super().__init__()
        self._root = root
        folders = [name for name in subfolders(root) if name != "fg_mask" and (root / name / split).is_dir()]
        names = sorted(folders, key=lambda name: IN9_VARIANTS.index(name) if name in IN9_VARIANTS else len(folders) + 9)
        if not names:
            raise VitvisError(f"data=imagenet9:{root}: holds no folder like original/{split}/00_dog")
        classes = sorted({name for variant in names for name in subfolders(root / variant / split)})
        self.class_names = [name.partition("_")[2] or name for name in classes]
        for variant in names:
            for path in images_in(root / variant / split):
                category = path.relative_to(root / variant / split).parts[0]
                found = _OBJECT.match(path.stem)
                pair = f"{category}/{found.group(1) if found else path.stem}"
                self.entries.append(Entry(path.relative_to(root).as_posix(), classes.index(category), pair, variant))
        self._split = split

    def load(self, index: int) -> Sample:
        """Decode an image; its mask comes with it where `fg_mask` holds one."""
        entry = self.entries[index]
        image = decode(self._root / entry.key)
        return Sample(image, self._mask(entry, (image.height, image.width)), entry.label)

    def _mask(self, entry: Entry, size: tuple[int, int]) -> np.ndarray | None:
        path = self._root / "fg_mask" / self._split / f"{entry.pair}.npy"
        try:
            return fit_mask(read_mask(path), size) if path.is_file() else None
        except UnusableImage:
            return None  # the variants are folders here: a mask is welcome (box sizes), not needed
