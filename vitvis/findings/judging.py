"""What the other model makes of a unit's image: the choice test of `vitvis.judge`, and how surely it sees a class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from vitvis.backbones.eye import Eye
    from vitvis.findings.bench import Bench

__all__ = ["certainties", "choices", "surest"]

Record = dict[str, Any]
_BATCH = 64


def choices(bench: Bench, role: str, records: Sequence[Record]) -> dict[str, Mapping[str, float | None]]:
    """Return the choice test of units' images, by address; the other model judges (docs/judge.md).

    Args:
        bench: With photos.
        role: Whose images.
        records: Of one run.

    Returns:
        `choice`, the share of pairs of photos that the image tells apart, 0..1 with chance at .5, and `choice_photos`,
        the share by the unit's own photos on the same pairs. Units without an image are missing.
    """
    rows = bench.judged(role, records[0]["run"]) if records else []
    wanted = {record["address"] for record in records}
    return {
        row["address"]: {name: row.get(name) for name in ("choice", "choice_photos")}
        for row in rows
        if row["address"] in wanted
    }


def certainties(bench: Bench, role: str, records: Sequence[Record]) -> dict[str, float]:
    """Return, by address, how surely the other model sees one of its classes in a unit's image, 0..1.

    Units without an image, and all of them where the other model has no classes, are missing.
    """
    from PIL import Image

    from vitvis.backbones.eye import Eye
    from vitvis.judge.album import as_tensor

    def read(record: Record) -> torch.Tensor:
        with Image.open(record["file"]) as picture:
            return as_tensor(picture)

    alive = [record for record in records if record["file"]]
    eye, found = Eye(bench.backbone(bench.other(role))), dict[str, float]()
    for start in range(0, len(alive), _BATCH):
        batch = alive[start : start + _BATCH]
        values = surest(eye, torch.stack([read(record) for record in batch]))
        if values is None:
            return {}
        found.update(zip((record["address"] for record in batch), values, strict=True))
    return found


def surest(eye: Eye, images: torch.Tensor) -> list[float] | None:
    """Return the largest class probability of each of `[B, 3, H, W]` images in [0, 1]; None without a classifier."""
    logits = eye.look(images.to(eye.backbone.mean.device)).logits
    return None if logits is None else logits.float().softmax(dim=1).amax(dim=1).tolist()
