"""Tables as text: CSV, written and read in one way."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["read_csv", "to_csv"]


def to_csv(
    rows: Iterable[Mapping[str, Any] | Sequence[Any]],
    columns: Sequence[str] | None = None,
    *,
    digits: Callable[[float], Any] | None = None,
) -> str:
    """Return rows as CSV with a head; lines end in a line feed.

    Args:
        rows: Mappings; or sequences in the order of `columns`.
        columns: The head; every key that any row has, in the order they come, when None.
        digits: What becomes of a float, such as `lambda value: round(value, 6)`.
    """
    rows = list(rows)
    if columns is None:
        columns = list(dict.fromkeys(name for row in rows if isinstance(row, Mapping) for name in row))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        cells = [row.get(name) for name in columns] if isinstance(row, Mapping) else row
        writer.writerow([digits(cell) if digits is not None and isinstance(cell, float) else cell for cell in cells])
    return buffer.getvalue()


def read_csv(path: str | Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file by the names of its head; no row where the file is not there or is no text."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            return [{key: value for key, value in row.items() if key} for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, csv.Error):
        return []
