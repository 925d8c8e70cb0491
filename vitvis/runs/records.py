"""Records of a run: Parquet shards, one a chunk, each written whole by the rank that made it."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from vitvis.errors import VitvisError

__all__ = ["encode_records", "read_keys", "read_records", "shard_paths"]

FOLDER = "records"


def encode_records(records: Sequence[dict[str, Any]]) -> bytes:
    """Return records as the bytes of a Parquet file; columns are those of all records together."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = list(dict.fromkeys(key for record in records for key in record))
    table = pa.table({column: pa.array([record.get(column) for record in records]) for column in columns})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def shard_paths(folder: str | Path) -> list[Path]:
    """Return the whole shards of a run, in order of their names."""
    return sorted(path for path in (Path(folder) / FOLDER).glob("*.parquet") if not path.name.startswith("."))


def read_records(folder: str | Path) -> list[dict[str, Any]]:
    """Return all records of a run folder, shard by shard.

    Raises:
        VitvisError: the folder is no run, or a shard can't be read.
    """
    if not (Path(folder) / "manifest.json").is_file():
        raise VitvisError(f"{folder}: is no run folder (it has no manifest.json)")
    return [record for path in shard_paths(folder) for record in _read(path).to_pylist()]


def read_keys(folder: str | Path, keys: Iterable[str]) -> set[tuple[Any, ...]]:
    """Return the values of some columns over all records, without reading the others."""
    keys = list(keys)
    found: set[tuple[Any, ...]] = set()
    for path in shard_paths(folder):
        table = _read(path, keys)
        found |= set(zip(*(table.column(key).to_pylist() for key in keys), strict=True))
    return found


def _read(path: Path, columns: list[str] | None = None) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path).read(columns)
    except (pa.ArrowException, OSError) as error:
        raise VitvisError(f"{path}: can't be read ({str(error).splitlines()[0]}); remove it and run again") from None
