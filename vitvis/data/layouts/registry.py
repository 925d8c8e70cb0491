"""`data=KIND:PATH`: which layout a path is read as."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from vitvis.data.labelled import Source
from vitvis.errors import VitvisError, nearest

__all__ = ["KINDS", "guess_kind", "open_source"]

#: The layouts, by the word in front of the path.
KINDS = ("imagenet", "imagenet9", "imagenet-s", "parquet", "folder")


def open_source(data: str, split: str = "val", label_file: str | None = None) -> Source:
    """Open `KIND:PATH`, or `PATH` whose layout is recognised by what it holds.

    Raises:
        VitvisError: no such kind or path, or the path does not hold the layout.
    """
    kind, colon, rest = data.partition(":")
    path = Path(rest if colon and len(kind) > 1 else data).expanduser()  # one letter would be a Windows drive
    if colon and len(kind) > 1 and kind not in KINDS:
        raise VitvisError(f"data={data}: no such kind '{kind}'{nearest(kind, KINDS)} (kinds: {', '.join(KINDS)})")
    if not path.exists():
        siblings = [str(item) for item in path.parent.iterdir()] if path.parent.is_dir() else []
        raise VitvisError(f"data={data}: {path} does not exist{nearest(str(path), siblings)}")
    source = _open(kind if colon and len(kind) > 1 else guess_kind(path), path, split, label_file)
    if len(source) == 0:
        reasons = Counter(reason for _, reason in source.skipped).most_common(1)
        why = f" ({len(source.skipped)} were skipped; most: {reasons[0][0]})" if reasons else " (it has no rows)"
        raise VitvisError(f"data={data}: holds no usable image{why}")
    return source


def guess_kind(path: Path) -> str:
    """Return the layout that a path holds, by its folders."""
    if path.is_file() or any(path.glob("*.parquet")):
        return "parquet"
    if (path / "Annotations").is_dir() or (path / "ILSVRC" / "Annotations").is_dir():
        return "imagenet"
    if (path / "mixed_rand").is_dir() or (path / "mixed_same").is_dir():
        return "imagenet9"
    if any(path.glob("*-segmentation")) or any(path.glob("ImageNetS*/*-segmentation")):
        return "imagenet-s"
    return "folder"


def _open(kind: str, path: Path, split: str, label_file: str | None) -> Source:
    if kind == "imagenet":
        from vitvis.data.layouts.imagenet import ImageNetSource

        return ImageNetSource(path, split, Path(label_file) if label_file else None)
    opener: Callable[..., Source]
    if kind == "imagenet9":
        from vitvis.data.layouts.imagenet9 import ImageNet9Source as opener
    elif kind == "imagenet-s":
        from vitvis.data.layouts.imagenet_s import ImageNetSSource as opener
    elif kind == "parquet":
        from vitvis.data.layouts.parquet import ParquetSource as opener
    else:
        from vitvis.data.layouts.folder import FolderSource as opener
    return opener(path, split)
