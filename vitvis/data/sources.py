"""Where images come from: folders, Parquet files, and whatever timm's dataset factory reads.

A dataset index names an image for good: its place in the sorted list of a folder, in the rows of Parquet files, or in
the stream. It depends neither on the number of processes nor on the size of a batch.
"""

from __future__ import annotations

import glob
import io
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitvis.errors import VitvisError, nearest

if TYPE_CHECKING:
    from PIL.Image import Image

    from vitvis.data.regions import Regions

__all__ = ["EXTENSIONS", "BrokenImage", "Folder", "Item", "Parquet", "Source", "open_source"]

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".jp2", ".avif"})
TIMM_PREFIXES = ("hfds", "hfids", "wds", "tfds", "torch", "tar")
_FORMS = "imagefolder:PATH (a folder a class), folder:PATH, parquet:FILE, hfds/NAME, hfids/NAME, wds/PATH, tfds/NAME"


class BrokenImage(Exception):
    """An image that can't be read; the reason in words. It is skipped, counted and listed, never fatal."""


@dataclass(frozen=True)
class Item:
    """What is known about an image without its pixels.

    Attributes:
        index: Dataset index.
        key: Names it for people: path within the data, or file name.
        label: Class, where the data has classes.
        label_name: Its name.
    """

    index: int
    key: str
    label: int | None = None
    label_name: str | None = None


class Source(ABC):
    """Images under dataset indices `0 .. len - 1`.

    Attributes:
        spec: What the user wrote.
        regions: Where boxes or masks of the images are; None where there are none.
        length: Number of images; None for a stream that does not say.
        random_access: Whether `load` takes any index; streams are read with `stream`.
    """

    spec: str
    regions: Regions | None = None
    length: int | None
    random_access = True

    @abstractmethod
    def item(self, index: int) -> Item:
        """Describe an image.

        Raises:
            BrokenImage: what holds it is damaged.
        """

    @abstractmethod
    def load(self, index: int) -> Image:
        """Decode an image.

        Raises:
            BrokenImage: it can't be decoded, or is far too large.
        """

    def row(self, index: int) -> dict[str, Any]:
        """Return what a table holds about an image beside its pixels, such as the sides of a box."""
        return {}

    def stream(self, rank: int = 0, world: int = 1) -> Iterator[tuple[Item, Callable[[], Image]]]:
        """Yield one rank's share of the images, in order of their dataset indices, each with what decodes it."""
        for index in range(rank, self.length or 0, world):
            yield self.item(index), partial(self.load, index)


def decode(data: bytes | Path) -> Image:
    """Decode an image to RGB, as the file stores it (no EXIF turn, as in timm).

    Raises:
        BrokenImage: truncated, no image at all, or more pixels than `PIL.Image.MAX_IMAGE_PIXELS` allows.
    """
    import warnings

    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(data if isinstance(data, Path) else io.BytesIO(data)) as image:
                return image.convert("RGB")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BrokenImage("too large: more pixels than a photo can have") from None
    except FileNotFoundError:
        raise BrokenImage("no such file") from None
    except Exception as error:  # decoders raise whatever they like: OSError, SyntaxError, ValueError, struct.error
        raise BrokenImage(
            f"can't be decoded: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        ) from None


class Folder(Source):
    """All images below a folder, in order of their paths; with `classes`, the folders at its top are the classes."""

    def __init__(self, path: Path, *, classes: bool, spec: str) -> None:
        if not path.is_dir():
            siblings = [str(item) for item in path.parent.iterdir() if item.is_dir()] if path.parent.is_dir() else []
            problem = "is a file; give the folder it is in" if path.is_file() else "no such folder"
            raise VitvisError(f"data={spec}: {problem}{'' if path.is_file() else nearest(str(path), siblings)}")
        self.spec, self.path = spec, path
        self.files = sorted(
            item.relative_to(path).as_posix()
            for item in path.rglob("*")
            if item.suffix.lower() in EXTENSIONS and not item.name.startswith(".")
        )
        if classes:
            self.files = [file for file in self.files if "/" in file]
        if not self.files:
            where = "images in folders, one a class (data=folder:PATH takes them without)" if classes else "images"
            raise VitvisError(f"data={spec}: holds no {where}; images end in {', '.join(sorted(EXTENSIONS))}")
        names = sorted({file.partition("/")[0] for file in self.files}) if classes else []
        self.classes = {name: label for label, name in enumerate(names)}
        self.length = len(self.files)

    def item(self, index: int) -> Item:  # noqa: D102
        key = self.files[index]
        name = key.partition("/")[0]
        return Item(index, key, self.classes.get(name), name if self.classes else None)

    def load(self, index: int) -> Image:  # noqa: D102
        return decode(self.path / self.files[index])


class Parquet(Source):
    """Rows of Parquet files that hold image bytes: a binary column, or the struct of Hugging Face datasets.

    One row group is kept in memory at a time, so reading in order costs one read a group.
    """

    def __init__(self, pattern: str, *, spec: str, class_names: dict[str, str] | None = None) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = Path(pattern)
        paths = sorted(path.glob("**/*.parquet")) if path.is_dir() else [Path(p) for p in sorted(glob.glob(pattern))]
        if not paths and path.is_dir():
            raise VitvisError(f"data={spec}: holds no .parquet files")
        if not paths:
            siblings = [str(item) for item in path.parent.glob("*.parquet")] if path.parent.is_dir() else []
            raise VitvisError(f"data={spec}: no such file{nearest(pattern, siblings)}")
        self.spec = spec
        self.groups: list[tuple[Path, int, int]] = []  # file, row group, index of its first row
        first = 0
        try:
            for file in paths:
                metadata = pq.ParquetFile(file).metadata
                for group in range(metadata.num_row_groups):
                    self.groups.append((file, group, first))
                    first += metadata.row_group(group).num_rows
            schema = pq.ParquetFile(paths[0]).schema_arrow
        except (pa.ArrowException, OSError) as error:
            raise VitvisError(f"data={spec}: {file} can't be read as Parquet ({str(error).splitlines()[0]})") from None
        if not first:
            raise VitvisError(f"data={spec}: holds no rows")
        self.length = first
        self.image_column = _image_column(schema, spec)
        self.columns = [name for name in schema.names if name != self.image_column]
        self.class_names = {**_feature_names(schema), **(class_names or {})}
        self._loaded: tuple[int, Any] | None = None

    def _find(self, index: int) -> tuple[Any, int]:
        import bisect

        import pyarrow as pa
        import pyarrow.parquet as pq

        number = bisect.bisect_right(self.groups, index, key=lambda group: group[2]) - 1
        file, group, first = self.groups[number]
        if self._loaded is None or self._loaded[0] != number:
            self._loaded = None  # let go of the last group before the next comes
            try:
                self._loaded = number, pq.ParquetFile(file).read_row_group(group)
            except (pa.ArrowException, OSError) as error:
                self._loaded = number, f"{file.name}: row group {group} can't be read ({str(error).splitlines()[0]})"
        if isinstance(self._loaded[1], str):
            raise BrokenImage(self._loaded[1])
        return self._loaded[1], index - first

    def row(self, index: int) -> dict[str, Any]:  # noqa: D102
        table, place = self._find(index)
        return {name: table.column(name)[place].as_py() for name in self.columns}

    def item(self, index: int) -> Item:  # noqa: D102
        row = self.row(index)
        table, place = self._find(index)
        image = table.column(self.image_column)[place]
        inner = image["path"].as_py() if "path" in getattr(image.type, "names", []) else None
        key = next((str(row[name]) for name in ("file", "file_name", "filename", "key", "id") if row.get(name)), None)
        label = next((int(row[name]) for name in ("label", "labels", "class") if isinstance(row.get(name), int)), None)
        names = (row.get("label_name"), self.class_names.get(str(label)), row.get("wnid"))
        return Item(index, key or inner or f"row {index}", label, next((str(name) for name in names if name), None))

    def load(self, index: int) -> Image:  # noqa: D102
        table, place = self._find(index)
        value = table.column(self.image_column)[place].as_py()
        data = value.get("bytes") if isinstance(value, dict) else value
        if not data:
            raise BrokenImage("row without image bytes")
        return decode(data)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_loaded": None}


def _image_column(schema: Any, spec: str) -> str:
    import pyarrow.types as types

    def is_bytes(kind: Any) -> bool:
        return types.is_binary(kind) or types.is_large_binary(kind)

    found = [
        field.name
        for field in schema
        if is_bytes(field.type)
        or (types.is_struct(field.type) and any(part.name == "bytes" and is_bytes(part.type) for part in field.type))
    ]
    for name in ("image", "img", "jpg", "png", *found):
        if name in found:
            return name
    raise VitvisError(f"data={spec}: no column holds image bytes (there are: {', '.join(schema.names)})")


def _feature_names(schema: Any) -> dict[str, str]:
    """Names of the classes as Hugging Face datasets leave them in the schema's metadata."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {str(number): name for number, name in enumerate(features["label"]["names"])}
    except (KeyError, TypeError, ValueError):
        return {}


def read_class_names(path: str | None) -> dict[str, str]:
    """Read names of classes: a line a class, `label TAB ... TAB name` or just the names in order of their labels."""
    if path is None:
        return {}
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise VitvisError(f"classes={path}: can't be read ({error})") from None
    cells = [line.split("\t") for line in lines if line.strip()]
    if cells and all(len(row) > 1 and row[0].isdigit() for row in cells):
        return {row[0]: row[-1].strip() for row in cells}
    return {str(label): row[-1].strip() for label, row in enumerate(cells)}


def open_source(spec: str | None, *, split: str = "validation", classes: str | None = None,
                limit: int | None = None) -> Source:  # fmt: skip
    """Open data by what the user wrote.

    Args:
        spec: `imagefolder:PATH`, `folder:PATH`, `parquet:FILE` (or a folder or pattern), a path, or a name of timm's
            dataset factory such as `hfds/NAME`, `hfids/NAME`, `wds/PATH`, `tfds/NAME`, `tar/FILE`.
        split: Split of the data, for timm's factory.
        classes: File with names of classes.
        limit: Read the first so many images only.

    Raises:
        VitvisError: nothing was given, nothing is there, or a library that reads it is missing.
    """
    if not spec:
        raise VitvisError(f"data= says which images to search; give one of {_FORMS}")
    kind, colon, path = spec.partition(":")
    names = read_class_names(classes)
    source: Source
    if kind == "imagefolder" and colon:
        source = Folder(Path(path).expanduser(), classes=True, spec=spec)
    elif kind == "folder" and colon:
        source = Folder(Path(path).expanduser(), classes=False, spec=spec)
    elif kind == "parquet" and colon:
        beside = Path(path).expanduser().parent / "classes.tsv"
        names = names or read_class_names(str(beside) if beside.is_file() else None)
        source = Parquet(str(Path(path).expanduser()), spec=spec, class_names=names)
    elif spec.partition("/")[0].lower() in TIMM_PREFIXES and "/" in spec:
        from vitvis.data.streams import open_timm

        source = open_timm(spec, split=split, class_names=names, limit=limit)
    elif spec.endswith(".parquet"):
        source = Parquet(spec, spec=spec, class_names=names)
    elif Path(spec).is_dir():
        source = Folder(Path(spec), classes=False, spec=spec)
    elif colon:
        forms = ["imagefolder", "folder", "parquet"]
        raise VitvisError(f"data={spec}: no such kind of data{nearest(kind, forms)} (give one of {_FORMS})")
    else:
        hint = nearest(f"{spec.partition('/')[0]}/", [f"{name}/" for name in TIMM_PREFIXES]) if "/" in spec else ""
        raise VitvisError(f"data={spec}: no such file or folder{hint} (give one of {_FORMS})")
    if limit is not None:
        source.length = min(limit, source.length) if source.length is not None else limit
    return source
