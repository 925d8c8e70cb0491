"""ImageNet-9, the Backgrounds Challenge (Xiao et al., arXiv 2006.09994): `VARIANT/val/00_dog/*.JPEG`."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from vitvis.data.boxes import fit_mask, read_mask
from vitvis.data.classes import Classes
from vitvis.data.layouts.files import images_in, subfolders
from vitvis.data.layouts.folder import Files
from vitvis.data.photo import Entry
from vitvis.data.source import Request
from vitvis.errors import VitvisError

__all__ = ["IN9_VARIANTS", "ImageNet9"]

#: The variants of the release, in the order of the table; folders beside these are taken too.
IN9_VARIANTS = (
    "original",
    "mixed_same",
    "mixed_rand",
    "mixed_next",
    "no_fg",
    "only_fg",
    "only_bg_b",
    "only_bg_t",
)
_OBJECT = re.compile(r"(?:fg_)?(n\d+_\d+)")


class ImageNet9(Files):
    """The variants of the Backgrounds Challenge; each folder is a variant of its own, no mask is needed.

    The BG-gap is the accuracy on `mixed_same` less that on `mixed_rand`. Images of one foreground are compared as
    pairs: file names begin with the foreground's id. `fg_mask/val/CLASS/*.npy` has the names of `original`, as the
    release's own `challenge_eval.py` reads it.
    """

    variants: list[str]  # type: ignore[misc]

    def __init__(self, request: Request) -> None:
        super().__init__(request, split=request.split or "val")
        root = request.folder
        if not root.is_dir():
            raise VitvisError(f"{request.spec}: no such folder")
        folders = [name for name in subfolders(root) if name != "fg_mask" and (root / name / self.split).is_dir()]
        known = [name for name in IN9_VARIANTS if name in folders]
        self.variants = [*known, *(name for name in folders if name not in known)]
        if not self.variants:
            raise VitvisError(f"{request.spec}: holds no folder like original/{self.split}/00_dog")
        parts = [Path(name, self.split).as_posix() for name in self.variants]
        classes = sorted({name for part in parts for name in subfolders(root / part)})
        self.classes = Classes([name.partition("_")[2] or name for name in classes])
        self.list_files(root, [f"{part}/{file}" for part in parts for file in images_in(root / part) if "/" in file])
        self.labels = np.array([classes.index(self._category(file)) for file in self.files], np.int64)
        if (root / "fg_mask").is_dir():
            self.objects = np.ones(len(self.files), bool)

    def entry(self, index: int) -> Entry:
        """Return what is known about an image; those of one object in several variants share its `pair`."""
        return replace(super().entry(index), pair=self._pair(index), variant=self.files[index].partition("/")[0])

    def mask(self, index: int, size: tuple[int, int], counts: Counter[str]) -> np.ndarray | None:
        """Return the foreground's mask where `fg_mask` holds one."""
        path = self.root / "fg_mask" / self.split / f"{self._pair(index)}.npy"
        return fit_mask(read_mask(path), size) if path.is_file() else None

    def _category(self, file: str) -> str:
        return file.split("/")[2 + self.split.count("/")]

    def _pair(self, index: int) -> str:
        stem = Path(self.files[index]).stem
        found = _OBJECT.match(stem)
        return f"{self._category(self.files[index])}/{found.group(1) if found else stem}"
