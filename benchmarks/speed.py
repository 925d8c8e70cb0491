"""Units/hour of a plain loop after the paper's code, of vitvis with the same recipe, and of vitvis's default.

    python benchmarks/speed.py [--model vitvis_vit] [--depths 0,5,11] [--units 2] [--full] [--out out/speed]
    python benchmarks/speed.py --model vit_base_patch16_224 --weights none
    python benchmarks/speed.py --model sam2_hiera_tiny --image-size 224 --weights ../shared/weights/FILE.safetensors

Everything runs in this process, in turn, on the same units. Without `--full` the cost is measured over a few steps at
each depth and multiplied by the steps of the recipe (400 for the paper's, 60 for the default); with `--full` every
image is made to its end as well, and its clean activation and its rank are compared. Writes `speed.json`, `speed.png`.
On a GPU (`--device cuda`) vitvis runs in bfloat16, the loop in float32, as each does there by default.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

ARMS = {
    "a": "plain loop, the paper's recipe, float32",
    "b": "vitvis, the paper's recipe, float32",
    "b16": "vitvis, the paper's recipe, bfloat16",
    "c": "vitvis, its default recipe, float32",
    "c16": "vitvis, its default recipe, bfloat16",
}

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


@dataclass
class Cell:
    """One arm at one depth."""

    arm: str
    depth: int
    site: str
    units: int
    steps: int
    images: int  # of a chunk
    step: float  # seconds, of all images of a chunk
    around: float  # seconds a chunk, before its first and after its last step
    flops: int  # of a step
    rate: float  # measured matrix products of that precision, FLOP/s
    memory: float  # GiB
    activations: list[float] = field(default_factory=list)
    ranks: list[int] = field(default_factory=list)
    reached: list[int | None] = field(default_factory=list)  # steps to the activation of arm a
    seconds: float | None = None  # of the full run, all units

    @property
    def unit_seconds(self) -> float:
        return (self.step * self.steps + self.around) / self.images

    @property
    def share(self) -> float:
        return self.flops / self.step / self.rate


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="vitvis_vit")
    parser.add_argument("--weights", default="hub")
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--depths", default="0,5,11", help="blocks, by index")
    parser.add_argument("--units", type=int, default=2, help="units a block, for --full")
    parser.add_argument("--arms", default="a,b,b16,c,c16")
    parser.add_argument("--chunk", type=int, help="images of a chunk; what vitvis would choose when left out")
    parser.add_argument("--timed", type=int, default=2, help="steps that are timed; the fastest counts")
    parser.add_argument(
        "--full", action="store_true", help="make every image to its end, to compare activation and rank"
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: seconds on a core, for a machine that is "
                        "busy with other things; with --threads 1")  # fmt: skip
    parser.add_argument("--out", default="out/speed")
    Bench(parser.parse_args(argv)).run()
    return 0


class Bench:
    """The whole comparison."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        import torch
        from speed_rates import Memory, machine, matmul_rate

        from vitvis.backbones import load_backbone
        from vitvis.config.core import merge
        from vitvis.fit.settings import FitSettings

        warnings.simplefilter("ignore")
        if arguments.threads:
            torch.set_num_threads(arguments.threads)
        self.arguments = arguments
        self.clock = CLOCKS[arguments.clock]
        name = arguments.device if arguments.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(name)
        self.arms = [arm for arm in arguments.arms.split(",") if arm in ARMS]
        if name == "cuda":
            self.arms = [arm for arm in self.arms if arm in ("a", "b16", "c16")]
        torch.manual_seed(0)
        self.backbone = load_backbone(arguments.model, arguments.weights, arguments.image_size).to(self.device)
        self.settings = {
            "b": merge(FitSettings, ["recipe=ghiasi2022"]),
            "c": merge(FitSettings, []),
        }
        self.memory = Memory(self.device)
        self.machine = machine(self.device)
        dtypes = {"a": torch.float32, "b16": torch.bfloat16}
        rates = {key: matmul_rate(self.device, dtype, clock=self.clock) for key, dtype in dtypes.items()}
        self.rate = {arm: rates["b16" if arm.endswith("16") else "a"] for arm in ARMS}
        print(f"{arguments.model} on {self.machine}: matrix products float32 {rates['a'] / 1e9:.0f} GFLOP/s, "
              f"bfloat16 {rates['b16'] / 1e9:.0f} GFLOP/s", flush=True)  # fmt: skip

    def chunk(self, depth: int, count: int) -> Any:
        """Return a chunk of the first `count` units that a seeded draw picks at a depth."""
        from vitvis.backbones import parse_units
        from vitvis.fit import plan_chunks

        names = [site.name for site in self.backbone.sites.values() if site.kind == "mlp" and site.depth == depth]
        units = parse_units([f"{names[0]}:~{count}"], self.backbone.sites)
        return plan_chunks(units, [0], self.backbone.sites, count)[0]

    def run(self) -> None:
        depths = [int(text) for text in self.arguments.depths.split(",")]
        cells = [self.cell(arm, depth) for arm in self.arms for depth in depths]
        if self.arguments.full:
            for cell in cells:
                self.finish(cell, cells)
        from speed_report import draw, summarize, table

        result = {
            "model": self.arguments.model,
            "weights": self.arguments.weights,
            "image_size": list(self.backbone.image_size),
            "machine": self.machine,
            "clock": self.arguments.clock,
            "full": self.arguments.full,
            "arms": {arm: ARMS[arm] for arm in self.arms},
            "cells": [asdict(cell) | {"unit_seconds": cell.unit_seconds, "share": cell.share} for cell in cells],
            "summary": summarize(cells),
        }
        folder = Path(self.arguments.out)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "speed.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        draw(result, folder / "speed.png")
        print(table(cells))
        print(f"{folder / 'speed.json'}, {folder / 'speed.png'}")

    # -- cost: a few steps --------------------------------------------------------------------------

    def cell(self, arm: str, depth: int) -> Cell:
        """Time a few steps of an arm at a depth."""
        from speed_rates import count_flops

        self.memory.reset()
        if arm == "a":
            chunk, around = self.chunk(depth, 1), 0.0
            steps = self.loop_steps(chunk)
            total = 400
        else:
            settings = self.settings[arm[0]]
            chunk = self.chunk(depth, self.arguments.chunk or self.choose(settings, depth))
            steps, around = self.vitvis_steps(arm, chunk)
            total = settings.steps
        next(steps)  # begins the chunk and warms up
        flops = count_flops(lambda: next(steps))
        best = float("inf")
        for _ in range(self.arguments.timed):
            self.wait()
            began = self.clock()
            next(steps)
            self.wait()
            best = min(best, self.clock() - began)
        steps.close()  # type: ignore[attr-defined]
        cell = Cell(arm, depth, chunk.site.name, len(chunk), total, len(chunk), best, around, flops,
                    self.rate[arm], self.memory.peak())  # fmt: skip
        print(f"  {arm:<4}{cell.site:<16}{best / len(chunk):8.3f} s a step and image, {cell.images} at once, "
              f"{3600 / cell.unit_seconds:9.1f} units/hour, {cell.share:4.0%} of the matrix rate, "
              f"{cell.memory:.2f} GiB", flush=True)  # fmt: skip
        return cell

    def wait(self) -> None:
        from speed_rates import synchronize

        synchronize(self.device)

    def choose(self, settings: Any, depth: int) -> int:
        from vitvis.fit import choose_chunk

        return min(self.chunk(depth, 1).site.width, choose_chunk(
            self.backbone, [self.chunk(depth, 1).site], settings, self.device))  # fmt: skip

    def loop_steps(self, chunk: Any, stop: int | None = None) -> Iterator[Any]:
        """Return the steps of the plain loop for the first unit of a chunk; parameters ask for gradients meanwhile."""
        from speed_loop import Target, plain_loop

        site, backbone = chunk.site, self.backbone
        target = Target(backbone.model.get_submodule(site.module), chunk.units[0].index, site.prefix_tokens)
        backbone.model.requires_grad_(True)
        try:
            yield from plain_loop(backbone.model, target, backbone.image_size, backbone.mean, backbone.std, stop=stop)
        finally:
            backbone.model.requires_grad_(False)
            for parameter in backbone.model.parameters():
                parameter.grad = None

    def vitvis_steps(self, arm: str, chunk: Any) -> tuple[Iterator[Any], float]:
        """Return the steps of a chunk, and the seconds that a chunk takes before and after them."""
        from vitvis.fit import ActivationMaximization
        from vitvis.fit.timing import bare_steps

        module = ActivationMaximization(self.backbone, self.settings[arm[0]]).to(self.device)
        began = self.clock()
        module.begin(chunk)
        module.results()
        self.wait()
        around = self.clock() - began
        return bare_steps(module, chunk, "bf16-mixed" if arm.endswith("16") else "32-true"), around

    # -- quality: whole runs ------------------------------------------------------------------------

    def finish(self, cell: Cell, cells: list[Cell]) -> None:
        """Make the images of a cell to their end; measure the clean activation and the rank of each."""
        began = time.perf_counter()
        chunk = self.chunk(cell.depth, self.arguments.units)
        best = [activation for other in cells if other.arm == "a" and other.depth == cell.depth
                for activation in other.activations] if cell.arm != "a" else []  # fmt: skip
        if cell.arm == "a":
            from vitvis.fit import Chunk

            parts = [Chunk(chunk.site, (unit,), (0,)) for unit in chunk.units]
            for part in parts:
                (image,) = islice(self.loop_steps(part), cell.steps - 1, None)
                activations, ranks = self.measure(image, part)
                cell.activations += activations
                cell.ranks += ranks
        else:
            cell.reached = [None] * len(chunk)
            from vitvis.fit import ActivationMaximization
            from vitvis.fit.timing import bare_steps

            module = ActivationMaximization(self.backbone, self.settings[cell.arm[0]]).to(self.device)
            for step in bare_steps(module, chunk, "bf16-mixed" if cell.arm.endswith("16") else "32-true"):
                if step % max(1, cell.steps // 20) and step != cell.steps:
                    continue
                cell.activations, cell.ranks = self.measure(module.images(), chunk)
                for i, (value, goal) in enumerate(zip(cell.activations, best, strict=False)):
                    if cell.reached[i] is None and value >= goal:
                        cell.reached[i] = step
        cell.seconds = time.perf_counter() - began
        shown = ", ".join(
            f"{value:.2f} (rank {rank})" for value, rank in zip(cell.activations, cell.ranks, strict=True)
        )
        print(f"  {cell.arm:<4}{cell.site:<16}{shown}; reached {cell.reached}, {cell.seconds:.0f} s", flush=True)

    def measure(self, images: Any, chunk: Any) -> tuple[list[float], list[int]]:
        """Return clean activation and rank of each image, float32, mean over the patches."""
        from vitvis.fit import measure_firing

        firing = measure_firing(self.backbone, images.clamp(0, 1), chunk.site, chunk.units)
        return firing.mean.tolist(), firing.rank.tolist()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
