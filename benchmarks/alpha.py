"""How much of a unit's activation is left in the part of its picture that alpha calls important?

    python -m vitvis.fit alpha=80 units=... out=out/RUN && python benchmarks/alpha.py out/RUN

The fifth of the pixels with the strongest gradient is kept; the rest takes the picture's mean colour, or a blurred
version of the picture (an eighth of its side). Activation is the mean over the tokens, as pictures are made for, or
over the strongest tenth of them. Beside alpha a fifth that is drawn by chance, in blocks of 4 px, and nothing at all.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from vitvis.fit.measure import measure_firing
from vitvis.judge.case import load_model, open_case

SHARE = 0.2


def blurred(images: torch.Tensor) -> torch.Tensor:
    """Return images `[N, 3, H, W]` under a Gaussian of an eighth of their side."""
    from kornia.filters import gaussian_blur2d

    sigma = images.shape[-1] / 8
    size = 2 * min(round(3 * sigma), min(images.shape[-2:]) - 1) + 1
    return gaussian_blur2d(images, (size, size), (sigma, sigma))


def masks_of(alpha: torch.Tensor, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Return what is kept, `[N, 1, H, W]`: by alpha, by chance, nothing."""
    blocks = torch.rand(len(alpha), 1, *(side // 4 for side in alpha.shape[-2:]), generator=generator)
    drawn = functional.interpolate(blocks, alpha.shape[-2:], mode="nearest")
    found = {}
    for name, value in (("alpha", alpha), ("chance", drawn)):
        found[name] = value >= value.flatten(1).quantile(1 - SHARE, dim=1)[:, None, None, None]
    return found | {"nothing": torch.zeros_like(alpha, dtype=torch.bool)}


def main(folder: str) -> None:
    case = open_case(folder, [])
    load_model(case)
    assert case.backbone is not None
    generator = torch.Generator().manual_seed(0)
    shares: dict[tuple[str, str, str, str], list[float]] = {}
    for site in dict.fromkeys(row["site"] for row in case.records):
        rows = [row for row in case.records if row["site"] == site]
        pictures = torch.stack(
            [torch.from_numpy(np.array(Image.open(case.path / row["image"]))).permute(2, 0, 1) / 255 for row in rows]
        )
        images, alpha = pictures[:, :3], pictures[:, 3:]
        known = case.units(rows)
        assert known is not None
        kind = "classes" if site == "head" else "hidden units"
        whole = measure_firing(case.backbone, images, *known, case.tokens)
        fills = {"mean colour": images.mean(dim=(2, 3), keepdim=True).expand_as(images), "blurred": blurred(images)}
        for fill, outside in fills.items():
            for name, mask in masks_of(alpha, generator).items():
                left = measure_firing(case.backbone, torch.where(mask, images, outside), *known, case.tokens)
                for measure in ("mean", "peak"):
                    share = getattr(left, measure) / getattr(whole, measure)
                    shares.setdefault((kind, fill, measure, name), []).extend(share.tolist())
    for key, values in sorted(shares.items()):
        found = np.asarray(values)
        drawn = np.random.default_rng(0).choice(found, (4000, len(found))).mean(axis=1)
        low, high = np.percentile(drawn, (2.5, 97.5))
        print(f"{', '.join(key)}: {len(found)} units, {found.mean():.3f} ({low:.3f} to {high:.3f})")


if __name__ == "__main__":
    main(sys.argv[1])
