"""Words and concept scores that `vitvis.concepts` has left in runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vitvis.atlas.model import Site

__all__ = ["WORDS", "concept_columns"]

#: Words of a unit that go on its page and into the search.
WORDS = 8


def concept_columns(site: Site) -> dict[str, list[Any]]:
    """Return `words` (a list a unit) and `concept` (score or None) of a site's units, by the first run with any."""
    runs = {run.id: run.path for run, _ in site.searches} | {
        picture.run.id: picture.run.path for picture in site.pictures
    }
    found: dict[str, dict[str, Any]] = {}
    for path in runs.values():
        for row in _read(path):
            if row["site"] == site.name:
                found.setdefault(row["address"], row)
    rows = [found.get(address, {}) for address in site.addresses]
    return {
        "words": [[str(word) for word in (row.get("words") or [])[:WORDS]] for row in rows],
        "concept": [None if row.get("score") is None else round(float(row["score"]), 3) for row in rows],
    }


def _read(path: Path) -> list[dict[str, Any]]:
    file = path / "concepts" / "concepts.parquet"
    if not file.is_file():
        return []
    import pyarrow.parquet as pq

    columns = ["address", "site", "score", "words"]
    return pq.ParquetFile(file).read(columns=columns).to_pylist()
