"""Fewer steps for the same picture: clean activation, rank and cost of variants of the default recipe.

    python benchmarks/speed_steps.py [--model vitvis_vit] [--depths 2,6,11] [--units 4] [--variants NAME;...] [--out D]

Each variant makes the same units to the end. `cost` is seconds of this process on its cores, so that a busy machine
counts for little. Writes a sheet of all images, one row a variant, to look at: the number is not the picture.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn

#: Overrides of the default recipe, by name; `drop` and `size` are tried here and are no settings of vitvis.
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "30 steps": {"set": ["steps=30"]},
    "40 steps": {"set": ["steps=40"]},
    "120 steps": {"set": ["steps=120"]},
    "1 copy": {"set": ["copies=1"]},
    "1 copy, 120 steps": {"set": ["copies=1", "steps=120"]},
    "half of the tokens for half of the steps": {"drop": (0.5, 0.5)},
    "half of the tokens for 80 % of the steps": {"drop": (0.5, 0.8)},
    "half of the side for half of the steps": {"size": 0.5},
    "constant rate": {"set": ["optim.schedule=constant"]},
    "40 steps, rate 0.3": {"set": ["steps=40", "optim.lr=0.3"]},
    "bfloat16": {"bf16": True},
}


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="vitvis_vit")
    parser.add_argument("--weights", default="hub")
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--depths", default="2,6,11")
    parser.add_argument("--units", type=int, default=4)
    parser.add_argument("--variants", default="all", help="names, apart by ; or all")
    parser.add_argument("--out", default="out/steps")
    arguments = parser.parse_args(argv)
    warnings.simplefilter("ignore")

    from vitvis.backbones import load_backbone

    folder = Path(arguments.out)
    folder.mkdir(parents=True, exist_ok=True)
    backbone = load_backbone(arguments.model, arguments.weights, arguments.image_size)
    names = list(VARIANTS) if arguments.variants == "all" else arguments.variants.split(";")
    for name in names:
        row, images = make(
            backbone, VARIANTS[name], [int(text) for text in arguments.depths.split(",")], arguments.units
        )
        safe = name.replace(" ", "-").replace(",", "").replace("%", "percent")
        (folder / f"{safe}.json").write_text(json.dumps({"variant": name} | row) + "\n", encoding="utf-8")
        torch.save(images, folder / f"{safe}.pt")
        print(f"| {name} | {row['cost']:.1f} | " + " | ".join(f"{value:.2f}" for value in row["activation"])
              + f" | {row['mean']:.2f} | {row['rank']:.1f} | {row['first']:.0%} | {row['hf']:.2f} "
              f"| {', '.join(f'{value:.2f}' for value in row['curve'])} |", flush=True)  # fmt: skip
    draw(folder)
    return 0


def make(backbone: Any, variant: dict[str, Any], depths: list[int], count: int) -> tuple[dict[str, Any], Tensor]:
    """Make the images of a variant; returns its measures and the images `[N, 3, H, W]`."""
    from vitvis.backbones import parse_units
    from vitvis.config.core import merge
    from vitvis.fit import ActivationMaximization, measure_firing, plan_chunks
    from vitvis.fit.measure import hf_share
    from vitvis.fit.settings import FitSettings
    from vitvis.fit.timing import bare_steps

    settings = merge(FitSettings, variant.get("set", []))
    kept, activation, ranks, curves, cost = [], [], [], [], 0.0
    for depth in depths:
        name = next(site.name for site in backbone.sites.values() if site.kind == "mlp" and site.depth == depth)
        units = parse_units([f"{name}:~{count}"], backbone.sites)
        chunk = plan_chunks(units, [0], backbone.sites, count)[0]
        module = ActivationMaximization(backbone, settings)
        curve: list[float] = []
        with changes(backbone, module, variant, settings.steps):
            steps = bare_steps(module, chunk, "bf16-mixed" if variant.get("bf16") else "32-true")
            while True:
                began = time.process_time()
                done = next(steps, None)
                cost += time.process_time() - began
                if done is None:
                    break
                if done % (settings.steps // 5) == 0 and not {"drop", "size"} & set(variant):
                    curve.append(measure_firing(backbone, module.images(), chunk.site, units).mean.mean().item())
        firing = measure_firing(backbone, module.images(), chunk.site, units)
        kept.append(module.images())
        activation.append(firing.mean.mean().item())
        ranks += firing.rank.tolist()
        curves.append(curve)
    images = torch.cat(kept)
    measured = {
        "cost": cost, "activation": activation, "mean": fmean(activation), "rank": fmean(ranks),
        "first": fmean(rank == 1 for rank in ranks), "hf": hf_share(images).mean().item(),
        "curve": [fmean(values) / fmean(activation) for values in zip(*curves, strict=True)],
    }  # fmt: skip
    return measured, images


@contextmanager
def changes(backbone: Any, module: Any, variant: dict[str, Any], steps: int) -> Iterator[None]:
    """Let a variant work on the model for its first steps."""
    if "drop" in variant:
        keep, until = variant["drop"]
        manager = dropped(backbone.model, module, keep, int(until * steps))
    elif "size" in variant:
        manager = smaller(backbone, module, variant["size"], steps // 2)
    else:
        manager = nullcontext()
    with manager:
        yield


@contextmanager
def dropped(model: nn.Module, module: Any, keep: float, until: int) -> Iterator[None]:
    """Show the blocks of a ViT a random share of the patches, the same for all images, for the first steps."""

    def hook(block: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if module.step >= until or not torch.is_grad_enabled():
            return None
        tokens = args[0]
        patches = tokens.shape[1] - 1
        generator = torch.Generator().manual_seed(module.step)
        chosen = torch.randperm(patches, generator=generator)[: int(patches * keep)].sort().values + 1
        return (tokens[:, torch.cat([torch.zeros(1, dtype=torch.long), chosen])], *args[1:])

    handle = model.blocks[0].register_forward_pre_hook(hook)  # type: ignore[index,union-attr]
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def smaller(backbone: Any, module: Any, factor: float, until: int) -> Iterator[None]:
    """Show a ViT a smaller version of the copies for the first steps; its position embeddings are resampled."""
    from timm.layers import resample_abs_pos_embed

    model, forward = backbone.model, backbone.forward
    full = model.pos_embed
    rows, columns = (int(side * factor) for side in backbone.image_size)
    patch = model.patch_embed.patch_size
    small = resample_abs_pos_embed(full.detach(), [rows // patch[0], columns // patch[1]], num_prefix_tokens=1)

    def shrunk(images: Tensor) -> Any:
        if module.step >= until or not torch.is_grad_enabled():
            return forward(images)
        images = nn.functional.interpolate(images, (rows, columns), mode="bilinear", antialias=True)
        model.pos_embed, model.patch_embed.img_size, kept = nn.Parameter(small, False), (rows, columns), \
            model.patch_embed.img_size  # fmt: skip
        try:
            return forward(images)
        finally:
            model.pos_embed, model.patch_embed.img_size = full, kept

    backbone.forward = shrunk
    try:
        yield
    finally:
        del backbone.forward


def draw(folder: Path) -> None:
    """Draw the images of all variants that the folder holds, one row each."""
    from PIL import Image, ImageDraw

    rows = [(path.stem, torch.load(path, weights_only=True)) for path in sorted(folder.glob("*.pt"))]
    side = rows[0][1].shape[-1]
    scale = max(1, 96 // side)
    cell, label = side * scale, 16
    page = Image.new("RGB", (cell * max(len(images) for _, images in rows), (cell + label) * len(rows)), "white")
    pen = ImageDraw.Draw(page)
    for i, (name, images) in enumerate(rows):
        pen.text((4, i * (cell + label) + 2), name, fill="black")
        for j, image in enumerate(images):
            array = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
            picture = Image.fromarray(array).resize((cell, cell), Image.Resampling.NEAREST)
            page.paste(picture, (j * cell, i * (cell + label) + label))
    page.save(folder / "sheet.png")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    sys.exit(main(sys.argv[1:]))
