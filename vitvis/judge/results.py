"""What a judgement leaves in the run's folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitvis.judge.case import Case
from vitvis.judge.summary import by_site, with_intervals
from vitvis.runs import Ledger, write_file
from vitvis.runs.records import encode_records
from vitvis.runs.summary import judged

__all__ = ["FOLDER", "Judgement", "read_judgement", "write_judgement"]

FOLDER = "judge"
_COPIED = (
    "backbone",
    "weights_id",
    "site",
    "kind",
    "depth",
    "unit",
    "address",
    "sign",
    "direction",
    "seed",
    "recipe",
    "status",
    "image",
    "activation",
    "photos_used",
)


@dataclass(frozen=True)
class Judgement:
    """What one judge says about one run.

    Attributes:
        path: The run's folder.
        name: The judge's name.
        rows: A row a picture: what it is of, and its measures.
        summary: `(mean, low, high)` of every measure, 95 % interval over units.
        sites: A row a site with the means of its measures.
        about: The judge, its photos, KID, unmatched classes, and notes on what couldn't be measured.
    """

    path: Path
    name: str
    rows: list[dict[str, Any]]
    summary: dict[str, tuple[float, float, float]]
    sites: list[dict[str, Any]]
    about: dict[str, Any]

    @property
    def score(self) -> float | None:
        """The one number, or None where nothing could be measured."""
        return self.summary["judge"][0] if "judge" in self.summary else None


def write_judgement(case: Case, name: str, rows: Sequence[Mapping[str, Any]], about: dict[str, Any]) -> Judgement:
    """Write `judge/NAME.parquet`, `judge/NAME.json`, and the keys of `summary.json`."""
    full = [
        {key: record.get(key) for key in _COPIED if key in record} | dict(row)
        for record, row in zip(case.records, rows, strict=True)
    ]
    done = Judgement(case.path, name, full, with_intervals(full), by_site(full), about)
    write_file(case.path, f"{FOLDER}/{name}.parquet", encode_records(full))
    told = {"measures": {key: list(value) for key, value in done.summary.items()}, "sites": done.sites, **about}
    write_file(case.path, f"{FOLDER}/{name}.json", (json.dumps(told, indent=1) + "\n").encode())
    _write_summary(case.path)
    Ledger(case.path).settle()
    return done


def read_judgement(case: Case, name: str, asked: str) -> Judgement | None:
    """Return what a judge has said about a run; None where that was asked for in another way, or is not whole.

    Args:
        case: The run.
        name: The judge's name.
        asked: Names all that decides a judgement.
    """
    import pyarrow.parquet as pq

    ledger, files = Ledger(case.path), [f"{FOLDER}/{name}.{end}" for end in ("json", "parquet")]
    if not all(ledger.is_whole(file) for file in files):
        return None
    told = json.loads((case.path / files[0]).read_text(encoding="utf-8"))
    if told.get("asked") != asked:
        return None
    rows = pq.ParquetFile(case.path / files[1]).read().to_pylist()
    about = {key: value for key, value in told.items() if key not in ("measures", "sites")}
    measures = {key: (value[0], value[1], value[2]) for key, value in told["measures"].items()}
    return Judgement(case.path, name, rows, measures, told["sites"], about)


def _write_summary(folder: Path) -> None:
    """Put the judgements into the run's own summary beside what fit wrote."""
    path = folder / "summary.json"
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        summary = {}
    kept = {key: value for key, value in summary.items() if key != "judge" and not key.startswith("judge/")}
    write_file(folder, path.name, (json.dumps(kept | judged(folder), indent=2) + "\n").encode())
