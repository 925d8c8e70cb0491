"""Right or wrong for each image, from torchmetrics; states that several ranks join without a padded sample."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import multiclass_accuracy

__all__ = ["RowScores", "topk_hits"]


def topk_hits(logits: Tensor, labels: Tensor, top_k: int) -> Tensor:
    """Return whether the label is among the `top_k` largest logits of each row.

    torchmetrics' micro accuracy, sample by sample: its mean over samples is the micro accuracy of ImageNet.

    Args:
        logits: `[N, classes]`, or `[N, T, classes]` for several predictions a sample.
        labels: int64 `[N]`.
        top_k: Ranks that count; at most the number of classes.

    Returns:
        float32 of 0 and 1, `[N]` or `[N, T]`.
    """
    flat = logits.reshape(-1, logits.shape[-1])
    repeated = labels.repeat_interleave(len(flat) // max(len(labels), 1))
    classes = flat.shape[-1]
    hits = multiclass_accuracy(
        flat[..., None],
        repeated[..., None],
        num_classes=classes,
        top_k=min(top_k, classes),
        average="micro",
        multidim_average="samplewise",
    )
    return hits.reshape(logits.shape[:-1]).float()


class RowScores(Metric):
    """The scores of one model, a row for each image and variant, in the order they were seen.

    Ranks are joined by torchmetrics' own gathering, which copes with unequal numbers of rows, and the rows are then put
    in order: the result does not depend on how many ranks there were.
    """

    full_state_update = False
    COLUMNS = ("entry", "variant", "label", "prediction", "top1", "top5", "share")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # float32 holds every index below 2^24, and one tensor means one gathering
        self.add_state("rows", default=[], dist_reduce_fx="cat")
        self.add_state("positions", default=[], dist_reduce_fx="cat")
        self.rows: list[Tensor] | Tensor
        self.positions: list[Tensor] | Tensor

    def update(self, entry: Tensor, variant: Tensor, label: Tensor, share: Tensor, logits: Tensor) -> None:
        """Add rows.

        Args:
            entry: Image, int64 `[N]`.
            variant: Number of the variant, int64 `[N]`.
            label: Class, int64 `[N]`.
            share: The object's share of the area, `[N]`.
            logits: `[N, classes]`; or `[N, T, classes]`, a prediction for each of T positions: the row's scores are
                then means over the positions, and those of each position are kept too.
        """
        first, five = topk_hits(logits, label, 1), topk_hits(logits, label, 5)
        if logits.ndim == 3:
            scores = torch.cat([entry[:, None].float(), first, five], dim=1)
            self.positions.append(scores)  # type: ignore[union-attr]
            prediction, first, five = torch.full_like(label, -1), first.mean(1), five.mean(1)
        else:
            prediction = logits.argmax(1)
        columns = (entry, variant, label, prediction, first, five, share)
        self.rows.append(torch.stack([column.float() for column in columns], dim=1))  # type: ignore[union-attr]

    def open(self) -> None:
        """Add no rows: a rank that is dealt no image then still has a state of the right width to join."""
        self.rows.append(torch.empty(0, len(self.COLUMNS), device=self.device))  # type: ignore[union-attr]

    def compute(self) -> tuple[Tensor, Tensor]:
        """Return rows float32 `[N, 7]` (see `COLUMNS`), and `[N', 1 + 2T]` entry, top-1 and top-5 of each position."""
        return _sorted(self.rows, len(self.COLUMNS), 2), _sorted(self.positions, 1, 1)


def _sorted(state: list[Tensor] | Tensor, width: int, keys: int) -> Tensor:
    if isinstance(state, list):
        state = torch.cat(state) if state else torch.empty(0, width, dtype=torch.float32)
    rows = state.cpu() if state.numel() else torch.empty(0, width)
    for key in reversed(range(keys)):
        rows = rows[torch.argsort(rows[:, key], stable=True)]
    return rows
