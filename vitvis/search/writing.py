"""What a search leaves behind: records, maps, lists. Names and columns are those of docs/design.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vitvis.data.photo import Entry
from vitvis.runs import site_folder, to_csv, to_parquet
from vitvis.search import statistics, topk
from vitvis.search.layout import Group, Layout
from vitvis.search.maps import write_sparse
from vitvis.search.sample import draw_deciles
from vitvis.search.state import OFF, SearchState

if TYPE_CHECKING:
    from vitvis.data.source import Source
    from vitvis.runs import RunFolder

__all__ = [
    "background_table",
    "count_labels",
    "kept_indices",
    "make_records",
    "write_background",
    "write_items",
    "write_maps",
    "write_skipped",
]


def make_records(
    state: SearchState, layout: Layout, backbone: str, weights_id: str, per_decile: int
) -> dict[str, list]:
    """Return the search records by site; lists hold as many entries as there were images, k at most."""
    strong_values, strong_indices, places = (part.cpu() for part in topk.decode(state.strongest))
    weak_values, weak_indices, _ = (part.cpu() for part in topk.decode(state.weakest))
    tokens = state.tokens.cpu().gather(1, places)
    decile_indices, decile_values, deciles = draw_deciles(state.sample, per_decile)
    mean, std, positive = state.moments.mean, state.moments.std, state.moments.positive.cpu()
    regions = state.regions.cpu()
    inside, outside = (statistics.sums_of(part) / regions.clamp(min=1) for part in (state.inside, state.outside))
    weak_values = weak_values.where(weak_values.abs() > OFF, 0.0)
    counts, low, high = state.histogram.counts.cpu(), state.low.cpu(), state.high.cpu()
    count = state.moments.count
    strong_found, weak_found = (strong_indices >= 0).sum(1).tolist(), (weak_indices >= 0).sum(1).tolist()
    shared = {group.site.name: layout.counted(group) for group in layout.groups if group.latents}
    records: dict[str, list] = {}
    for group in layout.groups:
        rows = records.setdefault(group.site.name, [])
        for offset, unit in enumerate(group.units):
            u = group.first + offset
            strong, weak = strong_found[u], weak_found[u]
            hist_counts, hist_edges = statistics.trim(counts[u], float(low[u]), float(high[u]))
            seen = int(regions[u]) > 0
            rows.append(
                {
                    "backbone": backbone,
                    "weights_id": weights_id,
                    "site": group.site.name,
                    "kind": group.site.kind,
                    "depth": group.site.depth,
                    "unit": unit.index,
                    "address": unit.address,
                    "mean": float(mean[u]) if count else None,
                    "std": float(std[u]) if count else None,
                    "positive_share": float(positive[u]) / count if count else None,
                    "fire_share": int(state.fired[u]) / (count * shared[group.site.name])
                    if group.latents and count
                    else None,
                    "count": count,
                    "hist_counts": hist_counts,
                    "hist_edges": hist_edges,
                    "strongest_index": strong_indices[u, :strong].tolist(),
                    "strongest_activation": strong_values[u, :strong].tolist(),
                    "strongest_token": tokens[u, :strong].tolist(),
                    "weakest_index": weak_indices[u, :weak].tolist(),
                    "weakest_activation": weak_values[u, :weak].tolist(),
                    "decile_index": decile_indices[u].tolist(),
                    "decile_activation": decile_values[u].tolist(),
                    "decile": deciles.tolist(),
                    "inside_mean": float(inside[u]) if seen else None,
                    "outside_mean": float(outside[u]) if seen else None,
                }
            )
    return records


#: Labels of a unit's strongest images that a record names.
LABELS = 12


def count_labels(records: dict[str, list], ranking: topk.TopK, layout: Layout, source: Source) -> None:
    """Add to records which labels the strongest images have: `label, label_name, label_count`, and `labelled` of them.

    Args:
        records: By site, as `make_records` returns them; columns are added.
        ranking: The strongest images of each unit.
        layout: The units.
        source: Knows the labels; an image without one counts in `labelled` alone.
    """
    indices = topk.decode(ranking)[1].cpu().numpy()
    for group in layout.groups:
        for offset, record in enumerate(records[group.site.name]):
            own = indices[group.first + offset]
            labels = source.labels[own[own >= 0]]
            found, counts = np.unique(labels[labels >= 0], return_counts=True)
            order = np.lexsort((found, -counts))[:LABELS]
            record["labelled"] = len(labels)
            record["label"] = found[order].tolist()
            record["label_name"] = [source.classes.names[label] or str(label) for label in found[order]]
            record["label_count"] = counts[order].tolist()


def kept_indices(records: Iterable[dict[str, Any]], columns: Sequence[str] | None = None) -> list[int]:
    """Return the dataset indices of all images that records name, ascending."""
    columns = columns or ("strongest_index", "weakest_index", "decile_index")
    return sorted({index for record in records for column in columns for index in record[column]})


def site_maps(state: SearchState, group: Group) -> np.ndarray:
    """Return the maps of one site, float16 `[units, k, rows, cols]`, strongest first; NaN where there is no image."""
    rows, columns = group.site.grid or (0, 0)
    places = state.strongest.keys[group.first : group.stop].argsort(1, descending=True)[:, :, None]
    maps = state.maps[group.site.name].gather(1, places.expand(-1, -1, rows * columns)).cpu()
    if not group.latents:
        maps[:, min(state.moments.count, state.strongest.k) :] = torch.nan
    return maps.numpy().reshape(len(group.units), state.strongest.k, rows, columns)


def write_maps(folder: RunFolder, state: SearchState, layout: Layout) -> None:
    """Write `maps/SITE.npy` of each site that has maps (of latents `.npz`), each whole or not at all."""
    for group in layout.groups:
        if group.site.name not in state.maps:
            continue
        name = f"maps/{site_folder(group.site.name)}"
        if group.latents:
            with folder.stream(f"{name}.npz") as file:
                write_sparse(file, site_maps(state, group))
            continue
        with folder.stream(f"{name}.npy") as file:
            np.save(file, site_maps(state, group))


def write_items(folder: RunFolder, items: Sequence[Entry]) -> None:
    """Write `images.parquet`: what the dataset indices stand for."""
    import pyarrow as pa

    table = pa.table(
        {
            "index": pa.array([item.index for item in items], pa.int64()),
            "key": pa.array([item.key for item in items], pa.string()),
            "label": pa.array([item.label for item in items], pa.int64()),
            "label_name": pa.array([item.label_name for item in items], pa.string()),
        }
    )
    folder.write_bytes("images.parquet", to_parquet(table))


def write_skipped(folder: RunFolder, skipped: Iterable[tuple[int, str, str]]) -> None:
    """Write `skipped.csv`: images left out, and why; only its head when there were none."""
    folder.write_text("skipped.csv", to_csv(sorted(skipped), ("index", "key", "reason")))


def background_table(records: Iterable[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Return `(address, site, unit, inside_mean, outside_mean, difference, contrast)`, background units first.

    The difference is outside minus inside; the contrast divides it by the standard deviation of the unit's activation
    over the images, which makes units comparable. Units that do not vary, and those without regions, are left out.
    """
    rows = []
    for record in records:
        if record["inside_mean"] is None or not record["std"]:
            continue
        difference = record["outside_mean"] - record["inside_mean"]
        rows.append(
            (
                record["address"],
                record["site"],
                record["unit"],
                record["inside_mean"],
                record["outside_mean"],
                difference,
                difference / record["std"],
            )
        )
    return sorted(rows, key=lambda row: -row[-1])


def write_background(folder: RunFolder, records: Iterable[dict[str, Any]]) -> int:
    """Write `background.csv` where the data has regions; returns the number of its rows."""
    rows = background_table(records)
    if rows:
        head = ("address", "site", "unit", "inside_mean", "outside_mean", "difference", "contrast")
        folder.write_text("background.csv", to_csv(rows, head, digits=lambda value: f"{value:.6g}"))
    return len(rows)
