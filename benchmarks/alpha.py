"""How much of a unit's activation is left in the part of its picture that alpha calls important?

    python -m vitvis.fit alpha=80 units=... out=out/RUN && python benchmarks/alpha.py out/RUN

The fifth of the pixels with the strongest gradient is kept, the rest takes the picture's mean colour. Beside it a
fifth that is drawn by chance, in blocks of 4 px.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from vitvis.judge.case import load_model, open_case
from vitvis.judge.sturdiness import read_activation

SHARE = 0.2


def kept(images: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Return images `[N, 3, H, W]` with their mean colour where masks `[N, 1, H, W]` are 0."""
    return torch.where(masks > 0, images, images.mean(dim=(2, 3), keepdim=True))


def main(folder: str) -> None:
    case = open_case(folder, [])
    load_model(case)
    assert case.backbone is not None
    generator = torch.Generator().manual_seed(0)
    shares: dict[str, list[tuple[float, float]]] = {}
    for site in dict.fromkeys(row["site"] for row in case.records):
        rows = [row for row in case.records if row["site"] == site]
        pictures = torch.stack(
            [torch.from_numpy(np.array(Image.open(case.path / row["image"]))).permute(2, 0, 1) / 255 for row in rows]
        )
        images, alpha = pictures[:, :3], pictures[:, 3:]
        blocks = torch.rand(len(rows), 1, *(side // 4 for side in images.shape[-2:]), generator=generator)
        drawn = functional.interpolate(blocks, images.shape[-2:], mode="nearest")
        masks = [value >= value.flatten(1).quantile(1 - SHARE, dim=1)[:, None, None, None] for value in (alpha, drawn)]
        units = case.units(rows)
        assert units is not None
        whole, own, chance = (
            read_activation(case.backbone, version, *units, case.tokens)
            for version in (images, *(kept(images, mask) for mask in masks))
        )
        shares[site] = list(zip((own / whole).tolist(), (chance / whole).tolist(), strict=True))
    for site, found in [*shares.items(), ("all", [pair for pairs in shares.values() for pair in pairs])]:
        values = np.asarray(found)
        drawn_again = values[np.random.default_rng(0).integers(0, len(values), (4000, len(values)))].mean(axis=1)
        low, high = np.percentile(drawn_again[:, 0], (2.5, 97.5))
        strong, random = values.mean(axis=0)
        print(f"{site}: {len(values)} units, {strong:.3f} ({low:.3f} to {high:.3f}) kept; by chance {random:.3f}")


if __name__ == "__main__":
    main(sys.argv[1])
