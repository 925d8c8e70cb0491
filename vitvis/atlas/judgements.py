"""Verdicts that `vitvis.judge` has left in runs, or that records carry from a judge inside the fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

__all__ = ["JUDGED", "join_judgements"]

#: Columns of a picture in an atlas, and what they are called in a judgement and in a record of a fit that was judged.
JUDGED = {
    "judge": ("judge", "judge"),
    "choice": ("choice", "judge_choice"),
    "class_rank": ("class_rank", None),
    "class_probability": ("class_probability", "judge_probability"),
    "kept": ("kept", None),
    "agreement": ("agreement", None),
}


def join_judgements(run: Path, records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return fit records with the columns of `JUDGED`: means over the judges of a run; None where nobody has judged."""
    found = _read(run)
    joined = []
    for record in records:
        rows = found.get((record["address"], record.get("seed")), [])
        verdict: dict[str, Any] = {"judges": ", ".join(str(row["judge_name"]) for row in rows)}
        for name, (column, live) in JUDGED.items():
            values = [row[column] for row in rows if row.get(column) is not None]
            verdict[name] = fmean(values) if values else record.get(live) if live else None
        joined.append({**record, **verdict, "judges": verdict["judges"] or record.get("judged_by") or ""})
    return joined


def _read(run: Path) -> dict[tuple[Any, Any], list[dict[str, Any]]]:
    """Return the rows of all judgements of a run by unit and seed; a file that can't be read counts as none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found: dict[tuple[Any, Any], list[dict[str, Any]]] = {}
    for path in sorted((run / "judge").glob("*.parquet")):
        try:
            file = pq.ParquetFile(path)
            wanted = ["address", "seed", *(column for column, _ in JUDGED.values())]
            rows = file.read(columns=[name for name in wanted if name in file.schema_arrow.names]).to_pylist()
        except (pa.ArrowException, OSError):
            continue
        for row in rows:
            found.setdefault((row["address"], row.get("seed")), []).append({**row, "judge_name": path.stem})
    return found
