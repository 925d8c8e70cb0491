"""Parquet with an image column, and columns of labels and boxes where there are some."""

from __future__ import annotations

import bisect
import glob
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL.Image import Image

from vitvis.data.boxes import Box, boxes_mask, is_degenerate
from vitvis.data.classes import MAX_CLASSES, Classes, names_of, read_classes
from vitvis.data.decode import decode
from vitvis.data.layouts.files import images_in, of_split
from vitvis.data.photo import UnusableImage
from vitvis.data.source import Request, Source
from vitvis.errors import VitvisError, nearest
from vitvis.runs.files import utf8

__all__ = ["LABELS", "Parquet", "number_labels"]

#: Columns that are taken for the class, the file's name, the sides of boxes; the first that is there counts.
LABELS = ("label", "labels", "class", "cls", "target", "fine_label", "category")
_KEYS = ("file", "file_name", "filename", "key", "id")
_SIDES = ("xmin", "ymin", "xmax", "ymax")


class Parquet(Source):
    """Rows with encoded images: a column of bytes, or the struct with `bytes` that Hugging Face writes.

    A path is a file, a pattern, or a folder, of which the files of one split are read. `label` holds numbers or names,
    `xmin ymin xmax ymax` pixels of the image, both ends inclusive (the same pixel twice is one pixel), a number or a
    list a row. `file`, `wnid` and `label_name` are welcome, so is a `classes.tsv` beside the file.

    Columns but the image's are held in memory, and one row group of images at a time.
    """

    def __init__(self, request: Request) -> None:
        super().__init__(request, split=request.split or "")
        paths = self._find_files()
        self._groups: list[tuple[Path, int, int]] = []  # file, row group, index of its first row
        self._loaded: tuple[int, Any] | None = None
        first, file = 0, paths[0]
        try:
            schema = _open(file).schema_arrow
            self._column = _image_column(schema, request.spec)
            columns = self._columns(schema)
            parts = []
            for file in paths:
                table = _open(file)
                for group in range(table.num_row_groups):
                    self._groups.append((file, group, first))
                    first += table.metadata.row_group(group).num_rows
                    parts.append(_read_rows(table, group, columns))
            rows = pa.concat_tables(parts, promote_options="permissive") if parts else pa.table({})
        except (pa.ArrowException, OSError) as error:
            raise VitvisError(
                f"{request.spec}: {file} can't be read as Parquet ({str(error).splitlines()[0]})"
            ) from None
        if not first:
            raise VitvisError(f"{request.spec}: holds no rows")
        self.length = first
        self._keys = next((rows.column(name) for name in _KEYS if name in rows.column_names), None)
        self._paths = rows.column(self._column) if self._column in rows.column_names else None
        self._name_classes(rows, schema, paths[0].parent / "classes.tsv")
        self._boxes = [rows.column(side).to_pylist() for side in _SIDES] if _SIDES[0] in rows.column_names else []
        if self._boxes:
            self._check_boxes()

    def key(self, index: int) -> str:
        """Return the name of a row's file, or its number."""
        name = self._keys[index].as_py() if self._keys is not None else None
        if name is None and self._paths is not None:
            name = (self._paths[index].as_py() or {}).get("path")
        return str(name) if name not in (None, "") else f"row {index}"

    def load(self, index: int) -> Image:
        """Decode a row's image."""
        number = bisect.bisect_right(self._groups, index, key=lambda group: group[2]) - 1
        file, group, first = self._groups[number]
        if self._loaded is None or self._loaded[0] != number:
            self._loaded = None  # let go of the last group before the next comes
            try:
                column = _open(file).read_row_group(group, columns=[self._column]).column(0)
                self._loaded = number, column
            except (pa.ArrowException, OSError) as error:
                self._loaded = number, f"{file.name}: row group {group} can't be read ({str(error).splitlines()[0]})"
        if isinstance(self._loaded[1], str):
            raise UnusableImage(self._loaded[1])
        value = self._loaded[1][index - first].as_py()
        return decode((value.get("bytes") if isinstance(value, dict) else value) or b"")

    def mask(self, index: int, size: tuple[int, int], counts: Counter[str]) -> np.ndarray:
        """Draw a row's boxes."""
        boxes = self._row_boxes(index)
        if not boxes:
            raise UnusableImage("no usable box")
        mask = boxes_mask(boxes, size)
        if not mask.any():
            raise UnusableImage("boxes lie outside the image")
        return mask

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_loaded": None}

    def _find_files(self) -> list[Path]:
        path, spec = self.request.folder, self.request.spec
        if path.is_dir():
            names = images_in(path, lambda name: name.endswith(".parquet") and not name.startswith("."))
            if not names:
                raise VitvisError(f"{spec}: holds no .parquet files")
            chosen, self.split = of_split(names, self.request, ".parquet files")
            return [path / name for name in chosen]
        if self.request.split is not None:
            raise VitvisError(f"{spec}: is no folder, so split={self.request.split} says nothing; leave it out")
        named = [path] if path.is_file() else map(Path, sorted(glob.glob(str(path))))
        paths = [file for file in named if file.is_file()]
        if not paths:
            siblings = [str(item) for item in path.parent.glob("*.parquet")] if path.parent.is_dir() else []
            raise VitvisError(f"{spec}: no such file{nearest(str(path), siblings)}")
        return paths

    def _columns(self, schema: pa.Schema) -> list[str]:
        """Return the columns to hold in memory.

        Raises:
            VitvisError: those of boxes hold something else.
        """
        label = next((name for name in LABELS if name in schema.names), None)
        wanted = [*_KEYS, "wnid", "label_name", *([label] if label else [])]
        columns = [name for name in wanted if name in schema.names and name != self._column]
        kind = schema.field(self._column).type
        if pa.types.is_struct(kind) and kind.get_field_index("path") >= 0:
            columns.append(f"{self._column}.path")
        if self.request.objects and set(_SIDES) <= set(schema.names):
            for side in _SIDES:
                if not _is_side(schema.field(side).type):
                    raise VitvisError(
                        f"{self.request.spec}: column {side} holds {schema.field(side).type}; give numbers, or a list"
                        " of them a row (or regions=none)"
                    )
            columns += _SIDES
        return columns

    def _name_classes(self, rows: pa.Table, schema: pa.Schema, listing: Path) -> None:
        name = next((name for name in LABELS if name in rows.column_names), None)
        self.labels = np.full(self.length or 0, -1, np.int64)
        if name is None:
            self.unlabelled = (
                f"no column holds classes (there are {', '.join(schema.names)}; give {' or '.join(LABELS)})"
            )
            return
        try:
            self.labels, found = number_labels(rows.column(name))
        except UnusableImage as reason:
            raise VitvisError(f"{self.request.spec}: column {name}: {reason}") from None
        self.faults = dict.fromkeys(np.flatnonzero(self.labels < 0).tolist(), "no label")
        named = read_classes(listing) if listing.is_file() else Classes()
        count = max(int(self.labels.max(initial=-1)) + 1, len(named))
        names: dict[int, str] = dict(enumerate(found or _feature_names(schema, name)))
        ids: dict[int, str] = {}
        for column, target in (("label_name", names), ("wnid", ids)):
            if column in rows.column_names:
                texts = rows.column(column).to_pylist()
                target |= {int(label): str(text) for label, text in zip(self.labels, texts, strict=True) if text}
        every = [ids[label] for label in range(count)] if set(range(count)) <= set(ids) else None
        self.classes = Classes([str(label) for label in range(count)], named.ids if len(named) == count else None)
        self.classes.ids = every or self.classes.ids
        if named.names:
            names |= dict(enumerate(named.names))
        elif every and not names:
            names = dict(enumerate(names_of(every)))
        self.classes.names = [names.get(label, str(label)) for label in range(count)]

    def _check_boxes(self) -> None:
        self.objects = np.zeros(self.length or 0, bool)
        for row in range(self.length or 0):
            try:
                boxes = self._row_boxes(row)
            except UnusableImage as reason:
                self.faults.setdefault(row, str(reason))
                continue
            bad = sum(is_degenerate(box, one_pixel=True) for box in boxes)
            self.counts["degenerate boxes"] += bad
            self.objects[row] = len(boxes) > bad
            if len(boxes) == bad:
                self.faults.setdefault(row, "no usable box")

    def _row_boxes(self, row: int) -> list[Box]:
        sides = [column[row] for column in self._boxes]
        if any(side is None for side in sides):
            return []
        lists = [side if isinstance(side, Sequence) else [side] for side in sides]
        if len({len(values) for values in lists}) > 1:
            raise UnusableImage("box columns hold lists of different lengths")
        return [Box("", *map(float, values)) for values in zip(*lists, strict=True) if None not in values]


def number_labels(column: pa.ChunkedArray) -> tuple[np.ndarray, list[str]]:
    """Turn a column of classes into numbers; texts are numbered in their order.

    Returns:
        Labels int64 `[rows]`, -1 where there is none, and the names; no names where the column held numbers.

    Raises:
        UnusableImage: it holds neither, or a number beyond the limit.
    """
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_null(kind):
        return np.full(len(column), -1, np.int64), []
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        texts = column.to_pylist()
        names = sorted({text for text in texts if text})
        number: dict[str | None, int] = {name: label for label, name in enumerate(names)}
        labels, words = np.array([number.get(text, -1) for text in texts], np.int64), names
    elif pa.types.is_integer(kind):
        plain = (
            column.cast(kind).fill_null(-1) if pa.types.is_signed_integer(kind) else column.cast(pa.int64(), safe=False)
        )
        labels, words = plain.fill_null(-1).to_numpy().astype(np.int64), []
    else:
        raise UnusableImage(f"holds {kind}; give whole numbers or names")
    if labels.max(initial=-1) >= MAX_CLASSES:
        raise UnusableImage(f"class {labels.max()} in row {labels.argmax()} is no number from 0 to {MAX_CLASSES - 1}")
    return np.maximum(labels, -1), words


def _open(path: Path) -> pq.ParquetFile:
    """Open a file, also one whose name pyarrow can't take: it has to be UTF-8, which names on disks need not be."""
    try:
        utf8(str(path))
    except UnicodeEncodeError:
        return pq.ParquetFile(open(path, "rb"))
    return pq.ParquetFile(path)


def _read_rows(table: pq.ParquetFile, group: int, columns: list[str]) -> pa.Table:
    """Read the columns of one row group; rows whose columns are damaged have none of them."""
    try:
        return table.read_row_group(group, columns=columns)
    except (pa.ArrowException, OSError):
        schema = table.schema_arrow
        count = table.metadata.row_group(group).num_rows
        names = [name for name in columns if name in schema.names]
        return pa.table({name: pa.nulls(count, schema.field(name).type) for name in names})


def _image_column(schema: pa.Schema, spec: str) -> str:
    found = [field.name for field in schema if _is_image(field.type)]
    for name in ("image", "img", "jpg", "png", *found):
        if name in found:
            return name
    raise VitvisError(f"{spec}: no column holds image bytes (there are: {', '.join(schema.names)})")


def _feature_names(schema: pa.Schema, column: str) -> list[str]:
    """Return the names of the classes as Hugging Face datasets leave them in the schema's metadata."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return [str(name) for name in features[column]["names"]]
    except (KeyError, TypeError, ValueError):
        return []


def _is_image(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _is_image(kind.field("bytes").type)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _is_side(kind: pa.DataType) -> bool:
    inner = kind.value_type if pa.types.is_list(kind) or pa.types.is_large_list(kind) else kind
    return pa.types.is_integer(inner) or pa.types.is_floating(inner) or pa.types.is_null(inner)
