"""Parquet with an image column, a label column and box columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vitvis.data.boxes import Box, boxes_mask, is_degenerate
from vitvis.data.labelled import Entry, Sample, Source, UnusableImage
from vitvis.data.layouts.files import decode, read_words
from vitvis.data.layouts.wordnet import names_of
from vitvis.errors import VitvisError, nearest

__all__ = ["ParquetSource"]

_SIDES = ("xmin", "ymin", "xmax", "ymax")
_NAMES = ("image", "label", "wnid", "file", *_SIDES)


class ParquetSource(Source):
    """Rows of `image` (bytes, or the struct with `bytes` that Hugging Face writes), `label` and `xmin ymin xmax ymax`.

    Sides are pixels of the image, both ends inclusive (the same pixel twice is one pixel), a number or a list a row.
    `wnid` and `file` are welcome. A `classes.tsv` (label, wnid, words) beside the file gives names. A folder is read as
    all its `SPLIT*.parquet`.
    """

    def __init__(self, path: Path, split: str = "val") -> None:
        super().__init__()
        paths = [path] if path.is_file() else sorted(path.glob(f"{split}*.parquet"))
        if not paths:
            raise VitvisError(f"data=parquet:{path}: no such file, and no folder with {split}*.parquet")
        try:
            schema = pq.read_schema(paths[0])
            columns = _check_columns(schema, paths[0])
            table = pa.concat_tables([pq.read_table(item, columns=columns, memory_map=True) for item in paths])
        except (pa.ArrowException, OSError) as error:
            raise VitvisError(f"{path}: can't be read as Parquet ({str(error).splitlines()[0]})") from None
        self._pictures = table.column("image")
        labels = table.column("label").to_pylist()
        self._boxes = [table.column(side).to_pylist() for side in _SIDES]
        files = table.column("file").to_pylist() if "file" in columns else [f"row {row}" for row in range(len(table))]
        wnids = table.column("wnid").to_pylist() if "wnid" in columns else None
        self._name_classes(paths[0].parent / "classes.tsv", labels, wnids)
        self._rows: list[int] = []
        for row, label in enumerate(labels):
            if label is None or label < 0:
                self.skipped.append((files[row], "no label"))
                continue
            try:
                boxes = self._row_boxes(row)
            except UnusableImage as reason:
                self.skipped.append((files[row], str(reason)))
                continue
            bad = sum(is_degenerate(box, one_pixel=True) for box in boxes)
            self.counts["degenerate boxes"] += bad
            if len(boxes) == bad:
                self.skipped.append((files[row], "no usable box"))
                continue
            self._rows.append(row)
            self.entries.append(Entry(files[row], int(label), f"{row}"))

    def load(self, index: int) -> Sample:
        """Decode a row's image and draw its boxes."""
        row, entry = self._rows[index], self.entries[index]
        value: Any = self._pictures[row].as_py()
        data = value.get("bytes") if isinstance(value, dict) else value
        if not data:
            raise UnusableImage("no image")
        image = decode(data)
        mask = boxes_mask(self._row_boxes(row), (image.height, image.width))
        if not mask.any():
            raise UnusableImage("boxes lie outside the image")
        return Sample(image, mask, entry.label)

    def _row_boxes(self, row: int) -> list[Box]:
        sides = [column[row] for column in self._boxes]
        if any(side is None for side in sides):
            return []
        lists = [side if isinstance(side, Sequence) else [side] for side in sides]
        if len({len(values) for values in lists}) > 1:
            raise UnusableImage("box columns hold lists of different lengths")
        return [Box("", *map(float, values)) for values in zip(*lists, strict=True) if None not in values]

    def _name_classes(self, path: Path, labels: list[int | None], wnids: list[str] | None) -> None:
        count = 1 + max((int(label) for label in labels if label is not None), default=-1)
        rows = read_words(path) if path.is_file() else []
        by_label = {int(row[0]): row for row in rows if row[0].isdigit()}
        count = max(count, 1 + max(by_label, default=-1))
        self.class_names = [str(label) for label in range(count)]
        if by_label:
            self.class_names = [by_label[label][2] if label in by_label else str(label) for label in range(count)]
        ids: dict[int, str] = {label: row[1] for label, row in by_label.items()}
        if wnids:
            ids |= {label: wnid for label, wnid in zip(labels, wnids, strict=True) if label is not None}
        if len(ids) == count:
            self.class_ids = [ids[label] for label in range(count)]
            if not by_label:
                self.class_names = names_of(self.class_ids)


def _check_columns(schema: pa.Schema, path: Path) -> list[str]:
    """Return the columns to read.

    Raises:
        VitvisError: one that is needed is not there, or holds something else.
    """
    columns = [name for name in _NAMES if name in schema.names]
    missing = [name for name in ("image", "label", *_SIDES) if name not in columns]
    if missing:
        hint = nearest(missing[0], schema.names)
        raise VitvisError(f"{path}: lacks the columns {', '.join(missing)}{hint} (has {', '.join(schema.names)})")
    needed = {"image": _is_image, "label": pa.types.is_integer, **dict.fromkeys(_SIDES, _is_side)}
    words = {"image": "bytes", "label": "whole numbers", **dict.fromkeys(_SIDES, "numbers, or a list of them a row")}
    for name, fits in needed.items():
        kind = schema.field(name).type
        if not fits(kind) and not pa.types.is_null(kind):
            raise VitvisError(f"{path}: column {name} holds {kind}; give {words[name]}")
    return columns


def _is_image(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _is_side(kind: pa.DataType) -> bool:
    inner = kind.value_type if pa.types.is_list(kind) or pa.types.is_large_list(kind) else kind
    return pa.types.is_integer(inner) or pa.types.is_floating(inner)
