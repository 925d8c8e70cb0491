"""The evaluation as a pass over data: all models look at every batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vitvis.backbones import Backbone
from vitvis.backbones.bfloat16 import Bfloat16
from vitvis.data.labels import LabelMap
from vitvis.data.loader import Batch, from_bytes
from vitvis.data.passes import PhotoPass
from vitvis.data.source import Source
from vitvis.errors import VitvisError
from vitvis.evaluate.probes.base import Probe
from vitvis.evaluate.scores import COLUMNS, score_rows, sort_rows
from vitvis.evaluate.variants import VariantPlan, VariantView

__all__ = ["Contender", "EvaluationPass", "transform_key"]


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


class EvaluationPass(PhotoPass):
    """Scores every model on every batch.

    Args:
        contenders: The models.
        probe: What is asked of them.
        source: The photos.
        plan: What is made of them.
        out: The run folder.
        belongs: Names models, data and settings.
        options: Of `PhotoPass`.

    Attributes:
        rows: For each model, score rows of batches (`scores.score_rows`).
        positions: Likewise scores of single positions.
    """

    def __init__(
        self,
        contenders: Sequence[Contender],
        probe: Probe,
        source: Source,
        plan: VariantPlan,
        out: Path,
        belongs: str,
        **options: Any,
    ) -> None:
        transforms = {transform_key(contender.backbone): contender.backbone.transform() for contender in contenders}
        super().__init__(source, VariantView(plan, transforms), out, belongs, objects=source.has_objects, **options)
        self.contenders, self.probe = list(contenders), probe
        self.backbones = nn.ModuleList([contender.backbone for contender in contenders])
        self._lean = [Bfloat16(contender.backbone) for contender in contenders]

    def start(self, device: torch.device) -> None:
        """Begin without scores."""
        self.rows: list[list[Tensor]] = [[] for _ in self.contenders]
        self.positions: list[list[Tensor]] = [[] for _ in self.contenders]

    def look(self, batch: Batch) -> None:
        """Ask all models about one batch."""
        tensors = batch.tensors
        images = {key: from_bytes(value) for key, value in tensors.items() if key.startswith("images/")}
        for place, contender in enumerate(self.contenders):
            own = images[f"images/{transform_key(contender.backbone)}"]
            with self._lean[place].use(own.device.type):
                for outcome in self.probe.run(contender.backbone, own, tensors["variant"]):
                    logits = self._checked(contender, outcome.logits, batch)
                    flat = contender.labels.reduce(logits.reshape(-1, logits.shape[-1]))
                    logits = flat.reshape(*logits.shape[:-1], flat.shape[-1])
                    rows, positions = score_rows(
                        tensors["index"], outcome.variant, tensors["label"], tensors["share"], logits
                    )
                    self.rows[place].append(rows)
                    self.positions[place].append(positions)

    def pack(self) -> dict[str, Any]:
        """Return the scores so far."""
        return {
            "rows": [sort_rows(parts, len(COLUMNS), 2) for parts in self.rows],
            "positions": [sort_rows(parts, 1, 1) for parts in self.positions],
        }

    def unpack(self, found: Mapping[str, Any], device: torch.device) -> None:
        """Take scores up."""
        self.rows = [[rows] for rows in found["rows"]]
        self.positions = [[positions] for positions in found["positions"]]

    def joined(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return, for each model, the rows and positions of all processes; `skipped` and `counts` are theirs, too."""
        rows: list[list[Tensor]] = [[] for _ in self.contenders]
        positions: list[list[Tensor]] = [[] for _ in self.contenders]
        for _ in self.join():
            for place in range(len(self.contenders)):
                rows[place] += self.rows[place]
                positions[place] += self.positions[place]
        return [
            (sort_rows(one, len(COLUMNS), 2).numpy(), sort_rows(other, 1, 1).numpy())
            for one, other in zip(rows, positions, strict=True)
        ]

    def _checked(self, contender: Contender, logits: Any, batch: Batch) -> Tensor:
        if not isinstance(logits, Tensor) or logits.ndim < 2:
            raise VitvisError(f"model {contender.name}: gives no logits [batch, classes]")
        logits = logits.float()
        bad = torch.isnan(logits).flatten(1).any(1)
        if bad.any():
            entry = self.source.entry(int(batch.tensors["index"][bad][0]))
            raise VitvisError(
                f"model {contender.name}: NaN logits for image {entry.key} ({int(bad.sum())} of {len(bad)} in its"
                " batch); try trainer.precision=32-true, or other weights"
            )
        return logits
