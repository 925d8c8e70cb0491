"""`data=KIND:PATH`: the kinds of data, and what opens each."""

from __future__ import annotations

import importlib
from pathlib import Path

from vitvis.data.classes import read_classes
from vitvis.data.objects import open_objects
from vitvis.data.source import Request, Source
from vitvis.errors import VitvisError, nearest

__all__ = ["KINDS", "guess_kind", "open_source"]

#: Kind -> module below `vitvis.data.layouts` and class that reads it, and what stands behind the colon.
KINDS: dict[str, tuple[str, str]] = {
    "imagefolder": ("folder:ImageFolder", "PATH (a folder a class)"),
    "folder": ("folder:Folder", "PATH (any images; objects in polygons/ or masks/)"),
    "parquet": ("parquet:Parquet", "FILE"),
    "imagenet": ("imagenet:ImageNet", "PATH (Data and Annotations)"),
    "imagenet-s": ("imagenet_s:ImageNetS", "PATH"),
    "imagenet9": ("imagenet9:ImageNet9", "PATH"),
    "hfds": ("hub:HubTable", "NAME (Hugging Face)"),
    "hfids": ("hub:HubStream", "NAME (the same, as a stream)"),
    "wds": ("webdataset:Shards", "PATH (WebDataset)"),
    "tfds": ("timm:TensorFlowStream", "NAME (TensorFlow)"),
    "torch": ("timm:TorchTable", "NAME:FOLDER (torchvision)"),
    "tar": ("tar:Tar", "FILE"),
}
_EVERY = ", ".join(f"{kind}:{what}" for kind, (_, what) in KINDS.items())


def open_source(
    data: str | None,
    *,
    split: str | None = None,
    classes: str | None = None,
    label_file: str | None = None,
    regions: str = "auto",
    limit: int | None = None,
) -> Source:
    """Open data by what the user wrote.

    Args:
        data: `KIND:PATH`, see `KINDS`.
        split: Part of the data; None: the kind's own choice, `val` where there is one.
        classes: File with names of the classes.
        label_file: Labels of a flat ImageNet split.
        regions: Where objects are: `auto` (as the kind has them), `none`, `polygons:FOLDER` or `masks:FOLDER`.
        limit: Read the first so many photos only.

    Raises:
        VitvisError: nothing was given, nothing is there, or a library that reads it is missing; one line.
    """
    kind, path = _split(data)
    if label_file is not None and kind != "imagenet":
        raise VitvisError(f"label_file={label_file}: only data=imagenet:PATH has one (this is {kind}:)")
    objects = open_objects(regions)
    request = Request(
        kind,
        path,
        split,
        Path(classes).expanduser() if classes else None,
        Path(label_file).expanduser() if label_file else None,
        regions == "auto",
    )
    module, _, name = KINDS[kind][0].partition(":")
    source: Source = getattr(importlib.import_module(f"vitvis.data.layouts.{module}"), name)(request)
    if request.classes is not None:
        source.classes.names = read_classes(request.classes).names
    if not request.objects:
        source.regions, source.objects = objects, None
    if source.length == 0:
        raise VitvisError(f"{request.spec}: holds no images")
    if limit is not None:
        source.limit = limit
        source.length = limit if source.length is None else min(limit, source.length)
    return source


def _split(data: str | None) -> tuple[str, str]:
    """Take `KIND:PATH` apart; what earlier versions wrote otherwise gets its new spelling."""
    if not data:
        raise VitvisError(f"data= says which images to read; give data=KIND:PATH, one of {_EVERY}")
    kind, colon, path = data.partition(":")
    if colon and kind in KINDS:
        if not path:
            raise VitvisError(f"data={data}: give data={kind}:{KINDS[kind][1]}")
        return kind, path
    word, slash, rest = data.partition("/")
    if slash and word.lower() in KINDS and not Path(data).exists():
        raise VitvisError(f"data={data}: is written data={word.lower()}:{rest}")
    whole = Path(data).expanduser()
    if whole.exists():
        raise VitvisError(f"data={data}: say of which kind it is: data={guess_kind(whole)}:{data}")
    if colon and len(kind) > 1:  # one letter would be a Windows drive
        raise VitvisError(f"data={data}: no such kind of data{nearest(kind, KINDS)} (give one of {_EVERY})")
    hint = nearest(word.lower(), KINDS) if slash and word else ""
    raise VitvisError(f"data={data}: no such file or folder{hint} (give one of {_EVERY})")


def guess_kind(path: Path) -> str:
    """Return the kind that a path most likely is of, by its folders."""
    if path.is_file():
        return "tar" if path.suffix == ".tar" else "parquet"
    if any(path.glob("*.parquet")):
        return "parquet"
    if any(path.glob("*.tar")):
        return "wds"
    if (path / "Annotations").is_dir() or (path / "ILSVRC" / "Annotations").is_dir():
        return "imagenet"
    if (path / "mixed_rand").is_dir() or (path / "mixed_same").is_dir():
        return "imagenet9"
    if any(path.glob("*-segmentation")) or any(path.glob("ImageNetS*/*-segmentation")):
        return "imagenet-s"
    flat = any((path / name).is_dir() for name in ("images", "polygons", "masks"))
    return "folder" if flat or not any(item.is_dir() for item in path.iterdir()) else "imagefolder"
