"""All models look at every batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn

from vitvis.backbones import Backbone
from vitvis.data.labelled import Source
from vitvis.data.labels import LabelMap
from vitvis.errors import VitvisError
from vitvis.evaluate.dataset import Batch, from_bytes
from vitvis.evaluate.metrics import RowScores
from vitvis.evaluate.probes.base import Probe

__all__ = ["Contender", "EvaluationModule", "transform_key"]


@dataclass(frozen=True)
class Contender:
    """One model of the comparison: its name in the table, the model, and which class each output stands for."""

    name: str
    backbone: Backbone
    labels: LabelMap


def transform_key(backbone: Backbone) -> str:
    """Name a model's transform by all that decides it, so that models that share one share its work."""
    settings = sorted((key, str(value)) for key, value in backbone.eval_settings.items())
    return f"{backbone.image_size[0]}x{backbone.image_size[1]} {settings}"


class EvaluationModule(LightningModule):
    """Scores every model on every batch.

    Args:
        contenders: The models.
        probe: What is asked of them.
        source: The data, to name an image in an error.
    """

    def __init__(self, contenders: Sequence[Contender], probe: Probe, source: Source) -> None:
        super().__init__()
        self.contenders, self.probe, self.source = list(contenders), probe, source
        self.backbones = nn.ModuleList([contender.backbone for contender in contenders])
        self.scores = nn.ModuleList([RowScores() for _ in contenders])
        self.skipped: list[tuple[int, str]] = []
        self.counts: Counter[str] = Counter()
        self.images = 0  # of this rank, so far

    def on_test_epoch_start(self) -> None:
        """Make sure that a rank without images can take part when scores are joined."""
        for scores in self.scores:
            scores.open()  # type: ignore[operator]

    def test_step(self, batch: Batch, batch_index: int) -> None:
        """Ask all models about one batch."""
        self.skipped += batch.skipped
        self.counts.update(batch.counts)
        self.images += len(torch.unique(batch.index)) + len(batch.skipped)
        if not len(batch):
            return
        floats = {key: from_bytes(images) for key, images in batch.images.items()}
        for contender, scores in zip(self.contenders, self.scores, strict=True):
            images = floats[transform_key(contender.backbone)]
            for outcome in self.probe.run(contender.backbone, images, batch.variant):
                logits = self._checked(contender, outcome.logits, batch)
                flat = contender.labels.reduce(logits.reshape(-1, logits.shape[-1]))
                logits = flat.reshape(*logits.shape[:-1], flat.shape[-1])
                scores.update(batch.index, outcome.variant, batch.label, batch.share, logits)  # type: ignore[operator]

    def on_test_epoch_end(self) -> None:
        """Join the skipped images of all ranks; scores are joined by `results`."""
        if self.trainer.world_size > 1:
            gathered: list[Any] = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(gathered, (self.skipped, self.counts))
            self.skipped = sorted({item for skipped, _ in gathered for item in skipped})
            self.counts = sum((counts for _, counts in gathered), Counter())

    def on_test_end(self) -> None:
        """Join the scores of all ranks while they still talk to each other."""
        self.results = [tuple(part.numpy() for part in scores.compute()) for scores in self.scores]  # type: ignore[operator]

    def _checked(self, contender: Contender, logits: Any, batch: Batch) -> Tensor:
        if not isinstance(logits, Tensor) or logits.ndim < 2:
            raise VitvisError(f"model {contender.name}: gives no logits [batch, classes]")
        logits = logits.float()
        bad = torch.isnan(logits).flatten(1).any(1)
        if bad.any():
            entry = self.source.entries[int(batch.index[bad][0])]
            raise VitvisError(
                f"model {contender.name}: NaN logits for image {entry.key} ({int(bad.sum())} of {len(bad)} in its"
                " batch); try trainer.precision=32-true, or other weights"
            )
        return logits
