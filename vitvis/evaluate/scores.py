"""Right or wrong for each image and variant. Pure functions."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_accuracy

__all__ = ["COLUMNS", "score_rows", "sort_rows", "topk_hits"]

#: Columns of a row; float64 holds every number of a photo to the digit.
COLUMNS = ("entry", "variant", "label", "prediction", "top1", "top5", "share")


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


def score_rows(index: Tensor, variant: Tensor, label: Tensor, share: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Score one batch.

    Args:
        index: Dataset index of each row's photo, int64 `[N]`.
        variant: Number of the variant, int64 `[N]`.
        label: Class, int64 `[N]`.
        share: The object's share of the area, `[N]`.
        logits: `[N, classes]`; or `[N, T, classes]`, a prediction for each of T positions: the row's scores are then
            means over the positions, and those of each position are returned too.

    Returns:
        Rows float64 `[N, 7]` (see `COLUMNS`); and float64 `[N, 1 + 2T]`, index, top-1 and top-5 of each position,
        or `[0, 1]`. Both on the CPU.
    """
    first, five = topk_hits(logits, label, 1), topk_hits(logits, label, 5)
    positions = torch.empty(0, 1, dtype=torch.float64)
    prediction = torch.full_like(label, -1)
    if logits.ndim == 3:
        positions = torch.cat([index[:, None].double(), first.double(), five.double()], dim=1).cpu()
        first, five = first.mean(1), five.mean(1)
    else:
        prediction = logits.argmax(1)
    columns = (index, variant, label, prediction, first, five, share)
    return torch.stack([column.double() for column in columns], dim=1).cpu(), positions


def sort_rows(parts: list[Tensor], width: int, keys: int) -> Tensor:
    """Join rows of several batches, in order of their first `keys` columns; `[0, width]` without any.

    The result does not depend on who scored which batch.
    """
    filled = [part for part in parts if len(part)]
    rows = torch.cat(filled) if filled else torch.empty(0, width, dtype=torch.float64)
    for key in reversed(range(keys)):
        rows = rows[torch.argsort(rows[:, key], stable=True)]
    return rows
