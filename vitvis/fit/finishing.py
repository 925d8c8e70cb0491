"""Draw and sum up a run folder, from nothing but what it holds: curves in one file, summary, sheet."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL.Image import Image

from vitvis import __version__
from vitvis.bundled import weights_origin
from vitvis.draw.sheet import draw_sheets, rows_of_records
from vitvis.fit.results import CURVES
from vitvis.runs import RunFolder, read_csv, save_png, to_csv
from vitvis.runs.records import read_shards
from vitvis.runs.summary import RunningSummary, judged, summarize

__all__ = ["Finished", "finish"]

_log = logging.getLogger("vitvis")


@dataclass(frozen=True)
class Finished:
    """What a finished run is known by.

    Attributes:
        records: All of them.
        summary: Its score and the parts of it.
        sheet: The file of the first contact sheet, and `page`, its picture.
    """

    records: list[dict[str, Any]]
    summary: dict[str, float]
    sheet: Path
    page: Image


def finish(folder: RunFolder) -> Finished:
    """Write what is about a whole run: `metrics.csv`, `summary.json`, `sheet.png`.

    It reads the folder alone, so it can be called on any, by anybody, again: what it writes depends on the records
    and curves that are there, and neither on who made them nor in which order.
    """
    shards = read_shards(folder.path)
    records = [record for found in shards.values() for record in found]
    _join_curves(folder, shards)
    summary = summarize(records) | judged(folder.path)
    folder.write_json("summary.json", summary)
    pages = draw_sheets(rows_of_records(records, folder.path), title=_title(folder), subtitle=_subtitle(folder))
    text = {"vitvis": __version__, "recipe": str(folder.manifest["recipe_hash"])}
    for number, page in enumerate(pages, start=1):
        folder.write_bytes("sheet.png" if number == 1 else f"sheet-{number}.png", save_png(page, text))
    return Finished(records, summary, folder.path / "sheet.png", pages[0])


def _title(folder: RunFolder) -> str:
    backbone = folder.manifest["backbone"]
    if backbone["weights"] == "none":
        return f"{backbone['name']}  (RANDOM weights)"
    source = weights_origin(backbone["name"], backbone["weights"])
    return f"{backbone['name']}  ({source} weights {backbone['weights_id']})"


def _subtitle(folder: RunFolder) -> str:
    recipe = folder.manifest["recipe"]
    copies = "1 copy" if recipe["copies"] == 1 else f"{recipe['copies']} copies"
    return (
        f"recipe {folder.manifest['recipe_hash']}, {recipe['steps']} steps of {copies}, "
        f"vitvis {__version__}; under each image: unit, activation of the clean image (mean over its tokens)"
    )


def _join_curves(folder: RunFolder, shards: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Join the curves of all chunks into `metrics.csv` and remove the parts.

    Chunks stand from shallow to deep, by name. The summary in the last row of each is made anew, over the chunks up to
    there: while the run went on it knew those of its own process alone.
    """
    target, parts = folder.path / "metrics.csv", sorted((folder.path / CURVES).glob("*.csv"))
    if target.is_file() and not folder.is_whole(target.name):
        _log.warning("%s: is damaged and was removed; the curves in it are lost, pictures and records are not", target)
        folder.remove(target.name)
    rows = {
        (row["chunk"], int(row["step"])): row
        for path in [target, *parts]
        for row in read_csv(path)
        if row.get("chunk") and row.get("site") and str(row.get("step")).isdigit()
    }
    if not rows:
        return
    depths = {site["name"]: site["depth"] for site in folder.manifest["backbone"]["sites"]}
    sites = {chunk: row["site"] for (chunk, _), row in rows.items()}
    sites |= {chunk: records[0]["site"] for chunk, records in shards.items() if records}
    order = sorted(sites, key=lambda chunk: (depths.get(sites[chunk], -1), chunk))
    last, running = dict(sorted(rows)), RunningSummary()
    for chunk in order:
        summary = running.add(shards.get(chunk, ())).values()
        if chunk in last:
            rows[chunk, last[chunk]] |= {f"summary/{name}": str(value) for name, value in summary.items()}
    place = {chunk: position for position, chunk in enumerate(order)}
    keys = sorted(rows, key=lambda key: (place[key[0]], key[1]))
    folder.write_text("metrics.csv", to_csv([rows[key] for key in keys]))
    if folder.settle():  # no shard is being worked on, which might be writing more of them
        folder.remove(CURVES)
