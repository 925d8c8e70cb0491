"""Seconds of Lucent 0.1.8 and of vitvis for the same units and steps, and what a judge says of both's pictures.

    pip install --no-deps --target lucent torch-lucent==0.1.8 kornia==0.4.1
    PYTHONPATH=lucent:. python benchmarks/lucent_peer.py [--steps 120] [--count 16] \
        [--search out/search-resnet out/search-vit --data imagefolder:VAL]

Lucent needs a kornia of its time, which lies in a folder before vitvis's own. Channels of the bundled ResNet and of the
bundled ViT's feed-forward layers, drawn by seed, 64 px; Lucent with its defaults (Fourier image, jitter, scale,
rotation) and the mean of a channel as objective, vitvis with its default recipe, float32, one thread, one image at a
time and four at once. With `--search`, the other bundled model judges both's pictures by the searches' photos.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

SITES = (("vitvis_resnet", "layer2.0.block", "vitvis_vit"), ("vitvis_vit", "blocks.5.mlp", "vitvis_resnet"))


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--count", type=int, default=16, help="units of each model; a multiple of 4")
    parser.add_argument("--search", nargs="*", default=[], help="a search of each model, with these sites")
    parser.add_argument("--data", help="the searches' photos")
    asked = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    from vitvis.backbones import load_backbone, parse_units

    print("| unit | s an image: Lucent, vitvis, four at once | ratio | clean activation | judge | choice |")
    print("| --- | --- | --- | --- | --- | --- |")
    for model, site, judge in SITES:
        backbone = load_backbone(model)
        units = [unit.index for unit in parse_units([f"{site}:~{asked.count}"], backbone.sites)]
        theirs, seconds = lucent(backbone, site, units, asked.steps)
        alone, four = vitvis_seconds(backbone, site, units, asked.steps)
        with tempfile.TemporaryDirectory() as folder:
            cells = judged(model, site, units, theirs, judge, asked, folder) if asked.search else ["", "", ""]
        print(f"| {len(units)} of {model} {site} | {seconds:.1f}, {alone:.1f}, {four:.1f} | {seconds / alone:.2f} "
              f"| {' | '.join(cells)} |", flush=True)  # fmt: skip
    return 0


def lucent(backbone: Any, site: str, units: list[int], steps: int) -> tuple[Tensor, float]:
    """Return Lucent's images `[U, 3, H, W]` and its seconds for each."""
    from lucent.optvis import objectives, param, render

    tapped, size = backbone.site(site), backbone.image_size[0]
    seen: dict[str, Tensor] = {}
    layer = backbone.model.get_submodule(tapped.module)
    point = "input" if tapped.point.when == "input" else "output"
    if point == "input":
        handle = layer.register_forward_pre_hook(lambda module, args: seen.update(value=args[0]))
    else:
        handle = layer.register_forward_hook(lambda module, args, output: seen.update(value=output))
    images, began = [], time.process_time()
    for unit in units:

        def channel(_: Any, unit: int = unit) -> Tensor:
            value = seen["value"]
            return -(value[:, unit] if value.ndim == 4 else value[:, tapped.prefix_tokens :, unit]).mean()

        made = render.render_vis(
            backbone, objectives.Objective(channel, "channel"), lambda: param.image(size), thresholds=(steps,),
            show_image=False, progress=False, preprocess=False, fixed_image_size=size,
        )  # fmt: skip
        images.append(torch.from_numpy(made[-1]).permute(0, 3, 1, 2).float())
    seconds = (time.process_time() - began) / len(units)
    handle.remove()
    return torch.cat(images).clamp(0, 1), seconds


def vitvis_seconds(backbone: Any, site: str, units: list[int], steps: int) -> tuple[float, float]:
    """Return vitvis's seconds an image, one at a time and four at once."""
    from vitvis.backbones import parse_units
    from vitvis.config.core import merge
    from vitvis.fit import ActivationMaximization, plan_chunks
    from vitvis.fit.settings import FitSettings
    from vitvis.fit.timing import bare_steps

    module = ActivationMaximization(backbone, merge(FitSettings, [f"steps={steps}"]))
    found = []
    for at_once in (1, 4):
        own = parse_units([f"{site}:{','.join(map(str, units[:4]))}"], backbone.sites)
        began = time.process_time()
        for chunk in plan_chunks(own, [0], backbone.sites, at_once):
            for _ in bare_steps(module, chunk):
                pass
        found.append((time.process_time() - began) / len(own))
    return found[0], found[1]


def judged(
    model: str, site: str, units: list[int], theirs: Tensor, judge: str, asked: argparse.Namespace, folder: str
) -> list[str]:
    """Return clean activation, judge's score and choice of Lucent's pictures and of vitvis's, with 95 % intervals."""
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from judge import Bench

    import vitvis.fit
    import vitvis.judge
    from vitvis.backbones.eye import load_eye
    from vitvis.judge.album import open_album
    from vitvis.judge.case import load_model, open_case
    from vitvis.search import read_search

    vitvis.fit.run(
        model=model, units=[f"{site}:{','.join(map(str, units))}"], steps=asked.steps, out=f"{folder}/fit",
        trainer={"precision": "32-true", "progress": "none"},
    )  # fmt: skip
    # what the judge sees in these units' photos then lies beside the search
    vitvis.judge.run(
        run=[f"{folder}/fit"], judge=[judge], search=asked.search, data=asked.data, sturdiness=0,
        trainer={"progress": "none"},
    )  # fmt: skip
    case = open_case(f"{folder}/fit", [read_search(search) for search in asked.search])
    load_model(case)
    album = open_album(case.search, asked.data, split=None, photos="auto", folder=case.path)
    bench = Bench(case, load_eye(judge), album)
    assert [record["unit"] for record in bench.records] == units
    both = [bench.score(theirs), bench.score(bench.images)]
    shown = [", ".join(f"{score['activation']:.2f}" for score in both)]
    for measure in ("judge", "choice"):
        shown.append(", ".join("{:.2f} [{:.2f}, {:.2f}]".format(*score[measure]) for score in both))
    return shown


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
