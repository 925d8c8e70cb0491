"""A run that is killed goes on where it was: each rank keeps what its models have said so far."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import time
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from vitvis.evaluate.datamodule import EvaluationDataModule
from vitvis.evaluate.module import EvaluationModule
from vitvis.runs import atomic_write

__all__ = ["Partial"]

_FOLDER = "partial"


class Partial(Callback):
    """Writes the scores so far now and then, and takes them up again.

    What is kept belongs to these models, this data and this number of ranks; anything else is not taken up.

    Args:
        folder: The run folder.
        fingerprint: All that decides the scores.
        rank, world: This process, and how many there are.
        every: Seconds between two writes.
    """

    def __init__(self, folder: Path, fingerprint: Any, *, rank: int, world: int, every: float) -> None:
        self._path = folder / _FOLDER / f"rank-{rank}-of-{world}.pt"
        self._fingerprint = json.dumps(fingerprint, sort_keys=True)
        self._rank, self._world, self._every = rank, world, every
        self._last = time.monotonic()
        self._total = 0

    def restore(self, module: EvaluationModule, data: EvaluationDataModule) -> int:
        """Put scores back, let the data begin behind them, and return how many images that saves."""
        self._total = len(data.indices[self._rank :: self._world])
        try:
            kept = torch.load(self._path, weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile):
            return 0  # none, or not one of ours: measure anew
        if kept.get("fingerprint") != self._fingerprint or not 0 < kept["images"] < self._total:
            return 0
        for scores, (rows, positions) in zip(module.scores, kept["scores"], strict=True):
            scores.rows = [rows] if rows is not None else []  # type: ignore[assignment]
            scores.positions = [positions] if positions is not None else []  # type: ignore[assignment]
        module.skipped = [(int(index), str(reason)) for index, reason in kept["skipped"]]
        module.counts = Counter(kept["counts"])
        module.images = data.start = kept["images"]
        return kept["images"]

    def on_test_batch_end(self, trainer: Trainer, module: LightningModule, *args: Any) -> None:
        """Write, when it is time; not behind the last image, where the scores themselves are about to be written."""
        assert isinstance(module, EvaluationModule)
        if time.monotonic() - self._last < self._every or module.images >= self._total:
            return
        buffer = io.BytesIO()
        torch.save(
            {
                "fingerprint": self._fingerprint,
                "images": module.images,
                "scores": [(_joined(scores.rows), _joined(scores.positions)) for scores in module.scores],
                "skipped": module.skipped,
                "counts": dict(module.counts),
            },
            buffer,
        )
        self._path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(self._path, buffer.getvalue())
        self._last = time.monotonic()

    def discard(self) -> None:
        """Remove what all ranks kept; the scores themselves are written."""
        shutil.rmtree(self._path.parent, ignore_errors=True)


def _joined(state: Any) -> torch.Tensor | None:
    parts = [part for part in state if len(part)]
    return torch.cat(parts).cpu() if parts else None
