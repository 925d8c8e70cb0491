"""How many photos a second the training of a bundled model sees, with one recipe and with another.

    python benchmarks/training.py [--model vitvis_vit] [--pairs 12] [--size 48] [--patch-drop 0.55] [--batch 256]

Both recipes run in this process, in turn and in an order that is drawn for each pair: a step of the training's first
part (`configs/bundled/MODEL.yaml`: batch 128, all patches) and one of its second (`configs/bundled/relay.yaml`) with
what is asked for here. A step is all that a training does: crops, forward, backward, the gradient's norm, the
optimiser. Seconds are those that this process spent on its core (`time.process_time`), which a busy machine changes
little. Printed are photos a second of both, and the geometric mean of the ratio with a 95 % interval (Student's t over
the pairs' log ratios).
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from pathlib import Path

import numpy as np
import torch
from scipy.stats import t as student

from vitvis.bundled.module import PhotoClassifier
from vitvis.bundled.settings import TrainSettings
from vitvis.config.core import merge

CONFIGS = Path(__file__).parents[1] / "configs" / "bundled"


class Arm:
    """One recipe: its model, its optimiser and its own photos."""

    def __init__(self, settings: TrainSettings) -> None:
        self.settings, self.step = settings, 0
        self.model = PhotoClassifier(settings, total_steps=10**6).train()
        self.model.use_plain_attention()
        chosen = self.model.configure_optimizers()
        self.optimizer, self.schedule = chosen["optimizer"], chosen["lr_scheduler"]["scheduler"]
        self.photos = torch.randint(0, 256, (settings.batch, 3, 64, 64), dtype=torch.uint8)
        self.labels = torch.randint(0, 200, (settings.batch,))

    def seconds(self) -> float:
        """Make one step; return the core's seconds for one photo."""
        start = time.process_time()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.settings.precision == "bf16-mixed"):
            loss = self.model.loss(self.photos, self.labels, self.step)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.optim.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.schedule.step()
        self.step += 1
        return (time.process_time() - start) / self.settings.batch


def ratio(before: list[float], after: list[float]) -> tuple[float, float, float]:
    """Return the geometric mean of `before / after` over pairs, and its 95 % interval."""
    logs = np.log(np.array(before) / np.array(after))
    half = student.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / math.sqrt(len(logs))
    return math.exp(logs.mean()), math.exp(logs.mean() - half), math.exp(logs.mean() + half)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="vitvis_vit", choices=("vitvis_vit", "vitvis_resnet"))
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--size", type=int, default=48)
    parser.add_argument("--patch-drop", type=float, default=0.55)
    parser.add_argument("--batch", type=int, default=256)
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    size = f"sizes=[[0,{arguments.size}]]"
    words = [size, f"batch={arguments.batch}", f"patch_drop=[[0,{arguments.patch_drop}]]"]
    arms = {
        "first": Arm(merge(TrainSettings, CONFIGS / f"{arguments.model}.yaml", [size])),
        "relay": Arm(merge(TrainSettings, CONFIGS / "relay.yaml", [f"model={arguments.model}", *words])),
    }
    seen: dict[str, list[float]] = {name: [] for name in arms}
    for pair in range(arguments.pairs + 2):
        for name in random.sample(list(arms), 2):
            seconds = arms[name].seconds()
            if pair >= 2:  # the first two warm up
                seen[name].append(seconds)
    middle, low, high = ratio(seen["first"], seen["relay"])
    rates = ", ".join(f"{name} {1 / np.median(values):.0f} photos/s" for name, values in seen.items())
    print(f"{arguments.model} {' '.join(words)}: {rates}; ratio {middle:.2f} ({low:.2f} to {high:.2f})")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
