"""How much of the time of an evaluation is the models themselves.

    python benchmarks/evaluate.py models=[resnet18,vit_tiny_patch16_224] data=folder:photos image_size=224 limit=48

Prints the seconds of an evaluation of all models on all variants (decoding, masking, transforms, scoring included), the
seconds of the bare forward passes on the very same tensors, and the second as a share of the first: at least 80 % is
asked for. Both are measured in turn, three times, and the fastest of each counts, since other work on the machine only
ever adds time. Weights are random unless `weights=` says otherwise: accuracy is not the point here.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import torch

from vitvis.config import Command
from vitvis.data.kinds import open_source
from vitvis.data.loader import from_bytes, make_loader
from vitvis.data.passes import make_trainer, run_pass
from vitvis.evaluate.engine import choose_photos, load_contenders, make_plan, make_probe
from vitvis.evaluate.module import EvaluationPass, transform_key
from vitvis.evaluate.settings import EvaluateSettings
from vitvis.evaluate.variants import VariantView
from vitvis.launch.cores import count_cores

ROUNDS = 3


def measure(settings: EvaluateSettings, options: Mapping[str, str]) -> int:
    source = open_source(settings.data, split=settings.split, label_file=settings.label_file)
    photos = choose_photos(settings, source)
    contenders = load_contenders(settings, source)
    plan = make_plan(settings, source)
    view = VariantView(plan, {transform_key(item.backbone): item.backbone.transform() for item in contenders})
    given = {
        "batch_size": max(1, settings.batch_size // len(plan.names)),
        "workers": count_cores() - 1 if settings.workers is None else settings.workers,
        "indices": photos,
    }
    batches = list(make_loader(source, view, **given))
    whole, bare = [], []
    for _ in range(ROUNDS):
        trainer = make_trainer(settings.trainer)
        with tempfile.TemporaryDirectory() as out:
            probe = make_probe(settings, plan)
            module = EvaluationPass(contenders, probe, source, plan, Path(out), "", progress="none", **given)
            whole.append(run_pass(trainer, module))
        bare.append(forward_only(contenders, batches, trainer.strategy.root_device))
    rows = sum(len(batch) for batch in batches) * len(plan.names) * len(contenders)
    share = min(bare) / min(whole)
    print(f"{len(photos)} images, {len(plan.names)} variants, {len(contenders)} models, {given['workers']} workers")
    print(f"evaluation    {min(whole):8.2f} s  {rows / min(whole):8.1f} images/s")
    print(f"bare forward  {min(bare):8.2f} s  {rows / min(bare):8.1f} images/s")
    print(f"share         {100 * share:8.1f} %")
    return 0 if share >= 0.8 else 1


def forward_only(contenders, batches, device) -> float:
    """Return the seconds of all models' forward passes on tensors that are there already."""
    total = 0.0
    with torch.inference_mode():
        for item in contenders:
            backbone = item.backbone.to(device)
            key = transform_key(backbone)
            for batch in batches:
                if not len(batch):
                    continue
                images = from_bytes(batch.tensors[f"images/{key}"].to(device))
                synchronize(device)
                start = time.perf_counter()
                backbone(images)
                synchronize(device)
                total += time.perf_counter() - start
    return total


def synchronize(device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


COMMAND = Command(
    name="benchmarks.evaluate",
    settings=EvaluateSettings,
    action=measure,
    summary="the share of an evaluation that the models take",
    description=(__doc__ or "").splitlines()[0],
)

if __name__ == "__main__":
    sys.exit(COMMAND.main(["weights=none", *sys.argv[1:]]))
