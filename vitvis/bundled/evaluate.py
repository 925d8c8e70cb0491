"""Measure the shipped models on the validation photos: `python -m vitvis.bundled.evaluate data=parquet:VAL.parquet`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from vitvis.config import Command, limits, setting

__all__ = ["COMMAND", "EvaluateSettings", "main", "measure"]


@dataclass
class EvaluateSettings:
    """Measure top-1 and top-5 of the shipped files."""

    data: str | None = setting(None, required="data=parquet:FILE: name the validation photos")
    """Photos as `KIND:PATH`, such as parquet:DATA/val.parquet."""
    models: list[str] = setting(["vitvis_vit", "vitvis_resnet"], length=(1, 1000), unique=True)
    """Bundled models."""
    batch: int = setting(250, unit="photos", minimum=1, maximum=limits.COUNT)
    """Photos at a time."""
    threads: int = setting(0, minimum=0, maximum=limits.PROCESSES)
    """CPU threads; 0: torch's own choice."""
    device: str = setting("cpu")
    """Where to run, such as cpu or cuda."""


def measure(name: str, data: str, batch: int = 250, device: str = "cpu") -> dict[str, float]:
    """Measure a shipped model, in float32 and at the photos' own size.

    Args:
        name: Bundled model.
        data: Photos as `KIND:PATH`.
        batch: Photos at a time.
        device: Where to run.

    Returns:
        `photos`, and `top1` and `top5` as shares of all photos.

    Raises:
        VitvisError: no such data or model.
    """
    import torch

    from vitvis.bundled import BUNDLED
    from vitvis.bundled.data import read_photos
    from vitvis.bundled.models import load_bundled

    model = load_bundled(name).to(device)
    mean, std = (
        torch.tensor(value, device=device).view(1, 3, 1, 1) for value in (BUNDLED[name].mean, BUNDLED[name].std)
    )
    photos, labels = read_photos(data)
    hits = {1: 0, 5: 0}
    with torch.inference_mode():
        for start in range(0, len(labels), batch):
            images = torch.from_numpy(photos[start : start + batch]).to(device).float() / 255
            logits = model((images - mean) / std)
            truth = torch.from_numpy(labels[start : start + batch]).to(device)
            order = logits.topk(5).indices == truth[:, None]
            for top in hits:
                hits[top] += int(order[:, :top].sum())
    return {"photos": len(labels), "top1": hits[1] / len(labels), "top5": hits[5] / len(labels)}


def _act(settings: EvaluateSettings, options: Mapping[str, str]) -> None:
    if settings.threads:
        import torch

        torch.set_num_threads(settings.threads)
    for name in settings.models:
        found = measure(name, settings.data or "", settings.batch, settings.device)
        print(f"{name}: top-1 {found['top1']:.2%}, top-5 {found['top5']:.2%} of {found['photos']} photos", flush=True)


COMMAND = Command(
    name="vitvis.bundled.evaluate",
    settings=EvaluateSettings,
    action=_act,
    summary="measure the two models that ship with vitvis",
    description="Measure the models that vitvis ships on Tiny-ImageNet's validation photos.",
    examples=("python -m vitvis.bundled.evaluate data=parquet:DATA/tiny-imagenet/val.parquet",),
)
main = COMMAND.main

if __name__ == "__main__":
    sys.exit(COMMAND.main())
