"""Words and concept scores that `vitvis.concepts` has left in runs."""

from __future__ import annotations

from typing import Any

from vitvis.atlas.model import Run, Site

__all__ = ["WORDS", "concept_columns"]

#: Words of a unit that go on its page and into the search.
WORDS = 8


def concept_columns(site: Site) -> dict[str, list[Any]]:
    """Return `words` (a list a unit) and `concept` (score or None) of a site's units, by the first run with any."""
    runs = {run.id: run for run, _ in site.searches} | {picture.run.id: picture.run for picture in site.pictures}
    found: dict[str, dict[str, Any]] = {}
    for run in runs.values():
        for row in _read(run):
            if row["site"] == site.name:
                found.setdefault(row["address"], row)
    rows = [found.get(address, {}) for address in site.addresses]
    return {
        "words": [[str(word) for word in (row.get("words") or [])[:WORDS]] for row in rows],
        "concept": [None if row.get("score") is None else round(float(row["score"]), 3) for row in rows],
    }


def _read(run: Run) -> list[dict[str, Any]]:
    file = run.table("concepts/concepts.parquet")
    if file is None:
        return []
    import pyarrow.parquet as pq

    columns = ["address", "site", "score", "words"]
    return pq.ParquetFile(file).read(columns=columns).to_pylist()
