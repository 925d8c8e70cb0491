"""Records of a run: Parquet shards, one a chunk, each written whole by the rank that made it."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitvis.errors import VitvisError, sentence
from vitvis.runs.ledger import Ledger
from vitvis.runs.reading import inside, plain_name

__all__ = [
    "Loss",
    "encode_records",
    "find_finished",
    "read_keys",
    "read_records",
    "read_shard",
    "read_shards",
    "shard_paths",
    "to_parquet",
]

FOLDER = "records"
_ADVICE = "remove it and run the command of this folder again"


@dataclass(frozen=True)
class Loss:
    """A shard that is not what it should be.

    Attributes:
        relative: Its path within the folder.
        why: What is wrong.
        kept: Its records that are well; none where the shard itself is damaged.
    """

    relative: str
    why: str
    kept: list[dict[str, Any]]


def encode_records(records: Sequence[Mapping[str, Any]]) -> bytes:
    """Return records as the bytes of a Parquet file; columns are those of all records together."""
    import pyarrow as pa

    columns = list(dict.fromkeys(key for record in records for key in record))
    return to_parquet(pa.table({column: pa.array([record.get(column) for record in records]) for column in columns}))


def to_parquet(table: Any) -> bytes:
    """Return an Arrow table as the bytes of a Parquet file."""
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def shard_paths(folder: str | Path) -> list[Path]:
    """Return the whole shards of a run, in order of their names."""
    return sorted(path for path in (Path(folder) / FOLDER).glob("*.parquet") if not path.name.startswith("."))


def read_records(folder: str | Path) -> list[dict[str, Any]]:
    """Return all records of a run folder, shard by shard; of two of the same unit and seed, the later shard's.

    Raises:
        VitvisError: the folder is no run; a shard can't be read, is not what was written, or names a site that would
            lead out of the folder.
    """
    return [record for records in read_shards(folder).values() for record in records]


def read_shards(folder: str | Path) -> dict[str, list[dict[str, Any]]]:
    """Return the records of a run folder by the name of their shard, as `read_records` does."""
    if not any((Path(folder) / name).is_file() for name in ("manifest.json", ".manifest.json")):
        raise VitvisError(f"{folder}: is no run folder (it has no manifest.json)")
    ledger = Ledger(folder)
    shards = {path.stem: read_shard(path, ledger) for path in shard_paths(folder)}
    last = {(record["address"], record.get("seed")): name for name, records in shards.items() for record in records}
    return {
        name: [record for record in records if last[record["address"], record.get("seed")] == name]
        for name, records in shards.items()
    }


def find_finished(folder: str | Path) -> tuple[list[dict[str, Any]], list[Loss]]:
    """Return the records that are whole and have their picture whole, and what is wrong with the others."""
    ledger, records, losses = Ledger(folder), [], []
    for path in shard_paths(folder):
        relative = path.relative_to(folder).as_posix()
        try:
            found = read_shard(path, ledger)
        except VitvisError as error:
            losses.append(Loss(relative, str(error).removesuffix(f"; {_ADVICE}"), []))
            continue
        kept = [record for record in found if not record.get("image") or _has_picture(ledger, record["image"])]
        if len(kept) < len(found):
            why = f"{path}: {len(found) - len(kept)} of its {len(found)} pictures are lost or damaged"
            losses.append(Loss(relative, why, kept))
        records += kept
    return records, losses


def read_keys(folder: str | Path, keys: Iterable[str]) -> set[tuple[Any, ...]]:
    """Return the values of some columns over all records that are whole and have their picture."""
    keys = list(keys)
    return {tuple(record.get(key) for key in keys) for record in find_finished(folder)[0]}


def _has_picture(ledger: Ledger, image: Any) -> bool:
    if inside(ledger.folder, image) is None or not ledger.is_whole(image):
        return False
    strip = f"progress/{image.removeprefix('images/')}"  # of the image over the steps, made with it or not at all
    kept = strip in ledger.known and (ledger.folder / "progress").is_dir()  # nobody removes one, but all of them
    return not kept or ledger.is_whole(strip)


def read_shard(path: Path, ledger: Ledger) -> list[dict[str, Any]]:
    """Return the records of one shard.

    Raises:
        VitvisError: it is damaged, or its records are none of ours.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        records = pq.ParquetFile(io.BytesIO(path.read_bytes())).read().to_pylist()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise VitvisError(f"{path}: can't be read ({sentence(error)}); {_ADVICE}") from None
    relative = path.relative_to(ledger.folder).as_posix()
    if relative in ledger.known and not ledger.is_whole(relative):
        raise VitvisError(f"{path}: is damaged (it is not what was written); {_ADVICE}")
    for number, record in enumerate(records):
        if not isinstance(record.get("address"), str) or not record["address"]:
            raise VitvisError(f"{path}: record {number} has no address; {_ADVICE}")
        if "site" in record and not plain_name(record["site"]):
            raise VitvisError(f"{path}: record {number} is of a site '{record['site']}', which is none; {_ADVICE}")
    return records
