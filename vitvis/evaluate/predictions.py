"""The scores of one model as a table of its own: a second run with more models asks only the new ones."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vitvis.data.source import Source
from vitvis.runs import to_parquet

__all__ = ["Predictions", "decode_predictions", "encode_predictions", "predictions_path"]


@dataclass
class Predictions:
    """What one model said to every image and variant.

    Attributes:
        variants: Names of the variants, in the order of the table.
        entry, variant, label, prediction: int64 `[rows]`; `variant` counts in `variants`.
        top1, top5, share: float64 `[rows]`: hits (0, 1, or a mean over positions), the object's share of the area.
        positions: float32 `[images, 1 + 2T]`: entry, top-1 and top-5 of each token; no columns unless probe=tokens.
        grid: Rows and columns of the tokens; `(0, 0)` where there are none.
        skipped: Key and reason of photos that could not be measured.
        counts: What was met in the data, such as `degenerate boxes`.
    """

    variants: list[str]
    entry: np.ndarray
    variant: np.ndarray
    label: np.ndarray
    prediction: np.ndarray
    top1: np.ndarray
    top5: np.ndarray
    share: np.ndarray
    positions: np.ndarray
    grid: tuple[int, int] = (0, 0)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    @classmethod
    def from_rows(
        cls, rows: np.ndarray, positions: np.ndarray, variants: Sequence[str], grid: tuple[int, int] = (0, 0)
    ) -> Predictions:
        """Take rows and positions of `vitvis.evaluate.scores`."""
        entry, variant, label, prediction = (rows[:, column].astype(np.int64) for column in range(4))
        top1, top5, share = (rows[:, column].astype(np.float64) for column in range(4, 7))
        return cls(list(variants), entry, variant, label, prediction, top1, top5, share, positions, grid)


def predictions_path(model: str) -> str:
    """Return where the predictions of a model lie in the run folder."""
    return f"predictions/{re.sub(r'[^A-Za-z0-9_.@-]+', '_', model)}.parquet"


def encode_predictions(predictions: Predictions, source: Source, fingerprint: dict[str, Any]) -> bytes:
    """Return predictions as Parquet bytes that carry what they depend on.

    Args:
        predictions: Scores of one model.
        source: The data, for keys of images.
        fingerprint: Model, weights, data, probe: what has to be the same for these scores to be used again.
    """
    names = np.asarray(predictions.variants, dtype=object)
    columns: dict[str, Any] = {
        "entry": predictions.entry,
        "image": [source.key(int(index)) for index in predictions.entry],
        "variant": names[predictions.variant] if len(predictions.variant) else [],
        "label": predictions.label,
        "prediction": predictions.prediction,
        "top1": predictions.top1,
        "top5": predictions.top5,
        "share": predictions.share,
    }
    metadata = {
        "fingerprint": json.dumps(fingerprint, sort_keys=True),
        "variants": json.dumps(predictions.variants),
        "grid": json.dumps(predictions.grid),
        "skipped": json.dumps(predictions.skipped),
        "counts": json.dumps(predictions.counts),
        "positions_shape": json.dumps(predictions.positions.shape),
    }
    binary = {"positions": np.ascontiguousarray(predictions.positions, dtype="<f4").tobytes()}
    return to_parquet(pa.table(columns).replace_schema_metadata({**metadata, **binary}))


def decode_predictions(path: Path, fingerprint: dict[str, Any]) -> Predictions | None:
    """Read predictions back; None where there are none, or they are damaged, or of something that is different now."""
    try:
        table = pq.read_table(io.BytesIO(path.read_bytes()))  # pyarrow itself takes no name that isn't UTF-8
    except (OSError, pa.ArrowException):
        return None
    metadata = table.schema.metadata or {}
    if metadata.get(b"fingerprint", b"").decode(errors="replace") != json.dumps(fingerprint, sort_keys=True):
        return None
    variants = json.loads(metadata[b"variants"])
    number = {name: index for index, name in enumerate(variants)}
    column = {name: table.column(name).to_numpy() for name in table.column_names if name not in ("image", "variant")}
    shape = json.loads(metadata[b"positions_shape"])
    rows, columns = json.loads(metadata[b"grid"])
    return Predictions(
        variants,
        column["entry"],
        np.asarray([number[name] for name in table.column("variant").to_pylist()], dtype=np.int64),
        column["label"],
        column["prediction"],
        column["top1"],
        column["top5"],
        column["share"],
        np.frombuffer(metadata[b"positions"], dtype="<f4").reshape(shape),
        (rows, columns),
        [(key, reason) for key, reason in json.loads(metadata[b"skipped"])],
        json.loads(metadata[b"counts"]),
    )
