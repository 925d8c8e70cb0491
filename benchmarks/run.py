"""What vitvis's ways bring, each beside its peer in the same process: one table of ratios.

    python benchmarks/run.py [--quick] [--clock cpu] [--threads 1] [--only fit,search]

Arms of a row run in turns, first and second, several rounds; a row says the median of the rounds' ratios, the smallest
and the largest. `--clock cpu` counts seconds of this process on cores, for a machine that is busy with other things.
`--quick` leaves out the paper's loop on a ViT-B/16 (`benchmarks/speed.py`), which takes minutes by itself.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
PHOTOS = 384  # that are decoded
KINDS = ("mlp", "mlp_pre", "q", "k", "v", "attn", "block")


@dataclass
class Row:
    """A comparison: `ours` and `peer` are called in turns, and what is told is how many times as fast `ours` is."""

    name: str
    ours: Callable[[], object]
    peer: Callable[[], object]
    rounds: int = 5
    wall: bool = False  # by the clock on the wall, whatever was asked for: other processes do the work


def main(argv: list[str]) -> int:
    import torch
    from speed_rates import machine

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="parts: fit, search, latents, evaluate, judge, decoding")
    asked = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    torch.set_num_threads(asked.threads)
    clock = CLOCKS[asked.clock]
    parts = {
        "fit": fit,
        "search": search,
        "latents": latents,
        "evaluate": evaluate,
        "judge": judge,
        "decoding": decoding,
    }
    print(f"{machine(torch.device('cpu'))}, {asked.clock} time\n\n| what | times its peer | smallest to largest |")
    print("| --- | --- | --- |", flush=True)
    for part in asked.only.split(",") if asked.only else parts:
        for row in parts[part]():
            ratios = list(measure(row, clock))
            print(f"| {row.name} | {median(ratios):.2f} | {min(ratios):.2f} to {max(ratios):.2f} |", flush=True)
    if not asked.quick:
        import speed

        speed.main(["--model", "vit_base_patch16_224", "--weights", "none", "--timed", "1", "--arms", "a,b,b16",
                    "--clock", asked.clock, "--threads", str(asked.threads)])  # fmt: skip
    return 0


def measure(row: Row, clock: Callable[[], float]) -> Iterator[float]:
    """Yield the peer's seconds over ours, round by round; a first round warms up."""
    clock = CLOCKS["wall"] if row.wall else clock
    for number in range(row.rounds + 1):
        seconds: dict[Any, float] = {}
        for arm in (row.ours, row.peer) if number % 2 else (row.peer, row.ours):
            began = clock()
            arm()
            seconds[arm] = clock() - began
        if number:
            yield seconds[row.peer] / seconds[row.ours]


def fit() -> Iterator[Row]:
    """Steps of the default recipe on the bundled ViT."""
    from vitvis.backbones import load_backbone, parse_units
    from vitvis.config.core import merge
    from vitvis.fit import ActivationMaximization, plan_chunks
    from vitvis.fit.settings import FitSettings
    from vitvis.fit.timing import bare_steps

    backbone = load_backbone("vitvis_vit")
    module = ActivationMaximization(backbone, merge(FitSettings, []))

    def steps(block: int, count: int, precision: str, *, cast: bool = True) -> Callable[[], None]:
        units = parse_units([f"blocks.{block}.mlp:0-{count - 1}"], backbone.sites)
        (chunk,) = plan_chunks(units, [0], backbone.sites, count)

        def work() -> None:
            kept = module.reader.weights.use
            module.reader.weights.use = kept if cast else lambda kind: nullcontext()  # type: ignore[method-assign]
            try:
                for _ in bare_steps(module, chunk, precision, 6 * 4 // count):
                    pass
            finally:
                module.reader.weights.use = kept  # type: ignore[method-assign]

        return work

    for block in (0, 5, 11):
        half, full = steps(block, 4, "bf16-mixed"), steps(block, 4, "32-true")
        yield Row(f"fit: steps of 4 images at block {block}, bfloat16 over float32", half, full)
    whole, parts = steps(5, 4, "bf16-mixed"), steps(5, 4, "bf16-mixed", cast=False)
    yield Row("fit: weights cast once over autocast's way, bfloat16, block 5", whole, parts)
    yield Row("fit: images in chunks of 4 over one by one, float32, block 5",
              steps(5, 4, "32-true"), lambda: [steps(5, 1, "32-true")()])  # fmt: skip


def search() -> Iterator[Row]:
    """A batch through a search over the bare forward pass, with as many newcomers as a pass over 10,000 photos has."""
    from vitvis.backbones import load_backbone, parse_units

    backbone = load_backbone("vitvis_vit")
    for name, kinds in (("all mlp sites", ("mlp",)), ("all kinds of sites of all blocks", KINDS)):
        units = parse_units([f"blocks.*.{kind}:*" for kind in kinds], backbone.sites)
        for precision in ("float32", "bfloat16"):
            look, bare = batches(backbone, units, precision)
            yield Row(f"search: {len(units):,} units, {name}, {precision}, over the bare forward pass", look, bare, 11)


def latents() -> Iterator[Row]:
    """A batch through a search of 32,000 latents over the forward pass and the encoder's bare product."""
    import torch
    from safetensors.torch import save_file

    from vitvis.backbones import Tap, load_backbone, parse_units

    backbone, site, images = load_backbone("vit_base_patch16_224", "none"), "blocks.8.block", 2
    width = backbone.site(site).width
    weight = torch.randn(32_000, width, generator=torch.Generator().manual_seed(0)) / width**0.5
    with tempfile.TemporaryDirectory() as folder:
        own = {"weight": weight, "bias": torch.zeros(len(weight))}
        save_file(own, f"{folder}/random.safetensors", metadata={"k": "32"})
        units = parse_units([f"{site}@{folder}/random.safetensors:*"], backbone.sites)
        look, bare = batches(backbone, units, images=images)
    encoder, pixels = weight.T.contiguous(), torch.rand(images, 3, *backbone.image_size)

    def product() -> None:
        with torch.inference_mode(), Tap(backbone, [site]) as tap:
            for image in tap(pixels)[site]:
                image @ encoder

    name = f"search: {len(units):,} latents of {site} of a ViT-B/16"
    yield Row(f"{name}, over the forward pass to there and the encoder's product", look, product, 7)
    yield Row(f"{name}, over the whole bare forward pass, without the product", look, bare, 5)


def batches(
    backbone: Any, units: Any, precision: str = "float32", *, images: int = 64
) -> tuple[Callable[[], None], Callable[[], None]]:
    """Return a batch of a search and its bare pass; rankings are as full as on the mean of a pass over 10,000 photos.

    Of 10,000 photos 20 (1 + ln 500) enter a ranking of k = 20, one of 69, and so does the photo after 1,390.
    """
    import torch

    from vitvis.backbones import Tap
    from vitvis.backbones.bfloat16 import Bfloat16
    from vitvis.search.layout import make_layout
    from vitvis.search.readings import SiteReader
    from vitvis.search.state import observe, start

    layout = make_layout(units, {unit.site: backbone.site(unit.site) for unit in units})
    state, sites, seen = start(layout, 20, sample=512), [group.site.source for group in layout.groups], [0]
    warm = min(44, 1390 // images)
    draw, lean = torch.Generator().manual_seed(0), Bfloat16(backbone)
    small = torch.rand((warm + 16) * images, 3, 8, 8, generator=draw)
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16")

    def photos() -> torch.Tensor:
        own = small[torch.arange(seen[0], seen[0] + images) % len(small)]
        return torch.nn.functional.interpolate(own, size=backbone.image_size, mode="bicubic").clamp(0, 1)

    def look() -> None:
        pixels, indices = photos(), torch.arange(seen[0], seen[0] + images)
        with torch.inference_mode(), autocast, lean.use("cpu"), Tap(backbone, sites) as tap:
            observe(state, layout, tap(pixels, SiteReader(layout, state.strongest, indices)), indices)
        seen[0] += images

    def bare() -> None:
        pixels = photos()
        with torch.inference_mode(), autocast:
            backbone(pixels)

    for _ in range(warm):
        look()
    return look, bare


def evaluate() -> Iterator[Row]:
    """A batch through an evaluation over the bare forward pass, tensors at hand."""
    import torch

    from vitvis.backbones import load_backbone
    from vitvis.evaluate.probes import MasksProbe
    from vitvis.evaluate.scores import score_rows
    from vitvis.evaluate.variants import VariantPlan

    backbone = load_backbone("vitvis_vit")
    probe, images = MasksProbe(VariantPlan(("full",), ())), torch.rand(64, 3, *backbone.image_size)
    index = torch.arange(64)

    def scored() -> None:
        with torch.inference_mode():
            for outcome in probe.run(backbone, images, torch.zeros(64, dtype=torch.int64)):
                score_rows(index, outcome.variant, index % 200, torch.ones(64), outcome.logits)

    def bare() -> None:
        with torch.inference_mode():
            backbone(images)

    yield Row("evaluate: scored batches over the bare forward pass", scored, bare, 9)


def judge() -> Iterator[Row]:
    """A judge's look at photos, its features at four depths, over its bare forward pass."""
    import torch

    from vitvis.backbones.eye import load_eye

    eye = load_eye("vitvis_resnet")
    images = torch.rand(32, 3, *eye.backbone.image_size)

    def bare() -> None:
        with torch.inference_mode():
            eye.backbone(images)

    yield Row("judge: a look at photos over the bare forward pass", lambda: eye.look(images), bare, 9)


def decoding() -> Iterator[Row]:
    """JPEGs of 500 px read by vitvis's loader over timm's `DataLoader`, both in this process."""
    import numpy as np
    from PIL import Image
    from timm.data import ImageDataset, create_transform
    from torch.utils.data import DataLoader

    from vitvis.backbones import load_backbone
    from vitvis.data.kinds import open_source
    from vitvis.data.loader import ModelView, make_loader

    backbone = load_backbone("vit_tiny_patch16_224", "none")
    with tempfile.TemporaryDirectory() as folder:
        draw = np.random.default_rng(0)
        for number in range(PHOTOS):
            noise = draw.integers(0, 255, (47, 63, 3), dtype=np.uint8)
            picture, buffer = Image.fromarray(noise).resize((500, 375), Image.Resampling.BICUBIC), io.BytesIO()
            picture.save(buffer, "JPEG", quality=90)
            (Path(folder) / f"{number:03d}.jpg").write_bytes(buffer.getvalue())
        source = open_source(f"folder:{folder}")
        transform = create_transform(224, is_training=False, interpolation="bicubic", crop_pct=0.9)
        theirs = ImageDataset(folder, transform=transform, class_map="")

        def own(workers: int) -> None:
            began = time.process_time()
            for _ in make_loader(source, ModelView(backbone.transform()), batch_size=32, workers=workers):
                pass
            rates.append(PHOTOS / (time.process_time() - began))

        def timms(workers: int) -> None:
            for _ in DataLoader(theirs, batch_size=32, num_workers=workers):
                pass

        rates: list[float] = []
        yield Row("decoding: JPEGs of 500 px over timm's loader, one core each", lambda: own(0), lambda: timms(0))
        print(f"({median(rates):.0f} photos a second and core)", flush=True)
        yield Row("the same, two workers each, wall time", lambda: own(2), lambda: timms(2), wall=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
