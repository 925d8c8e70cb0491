"""Seconds of Lucent 0.1.8 and of vitvis for the same units and steps, in one process and one thread each.

    pip install --no-deps --target lucent torch-lucent==0.1.8 kornia==0.4.1
    PYTHONPATH=lucent:. python benchmarks/lucent_peer.py [--steps 120]

Lucent needs a kornia of its time, which lies in a folder before vitvis's own. Channels of the bundled ResNet and of the
bundled ViT's feed-forward layers, 64 px; Lucent with its defaults (Fourier image, jitter, scale, rotation), its loss on
the mean of a channel, vitvis with its default recipe, float32, one image at a time and four at once.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=120)
    asked = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    import torch

    torch.set_num_threads(1)
    from lucent.optvis import objectives, param, render

    from vitvis.backbones import load_backbone, parse_units
    from vitvis.config.core import merge
    from vitvis.fit import ActivationMaximization, plan_chunks
    from vitvis.fit.settings import FitSettings
    from vitvis.fit.timing import bare_steps

    print("| unit | Lucent, s | vitvis alone, s | vitvis, four at once, s an image | ratio | activations |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, site in (("vitvis_resnet", "stages.2.block"), ("vitvis_vit", "blocks.5.mlp")):
        backbone = load_backbone(name)
        names = [item for item in backbone.sites if item == site]
        site = names[0] if names else [item.name for item in backbone.sites.values() if item.kind == "block"][2]
        tapped = backbone.site(site)
        layer = backbone.model.get_submodule(tapped.module)
        seen: dict[str, torch.Tensor] = {}
        handle = layer.register_forward_hook(lambda module, args, output, seen=seen: seen.update(value=output))

        def channel(model, unit=3, seen=seen, layer=tapped):
            value = seen["value"]
            return -(value[:, unit] if value.ndim == 4 else value[:, layer.prefix_tokens :, unit]).mean()

        settings = merge(FitSettings, [f"steps={asked.steps}"])
        module = ActivationMaximization(backbone, settings)
        device = torch.device("cpu")
        size = backbone.image_size[0]

        def lucent(backbone=backbone, size=size):
            objective = objectives.Objective(lambda T: channel(backbone), "channel")
            return render.render_vis(
                backbone, objective, lambda: param.image(size), thresholds=(asked.steps,), show_image=False,
                progress=False, preprocess=False, fixed_image_size=size,
            )  # fmt: skip

        began = time.process_time()
        image = lucent()
        theirs = time.process_time() - began
        handle.remove()
        ours = []
        for count in (1, 4):
            units = parse_units([f"{site}:3" if count == 1 else f"{site}:3-6"], backbone.sites)
            (chunk,) = plan_chunks(units, [0], backbone.sites, count)
            began = time.process_time()
            for _ in bare_steps(module.to(device), chunk):
                pass
            ours.append((time.process_time() - began) / count)
            if count == 1:
                from vitvis.fit import measure_firing

                picture = torch.from_numpy(image[-1]).permute(0, 3, 1, 2).float()
                if picture.shape[-1] != size:
                    picture = torch.nn.functional.interpolate(picture, size=backbone.image_size)
                reached = [float(measure_firing(backbone, x.clamp(0, 1), chunk.site, chunk.units).mean[0])
                           for x in (picture, module.images())]  # fmt: skip
        print(f"| {name} {site}:3 | {theirs:.1f} | {ours[0]:.1f} | {ours[1]:.1f} | {theirs / ours[0]:.2f} "
              f"| {reached[0]:.2f}, vitvis {reached[1]:.2f} |", flush=True)  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
