"""What units look at on their strongest photos: receptive fields, maps, boxes. Shared by the statements about depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from vitvis.backbones import Site, Tap, Unit, parse_units, read_units
from vitvis.data.loader import ModelView, make_loader
from vitvis.findings.bench import ROLES, Bench
from vitvis.findings.measures import box_share, following, gradient_energy, square_side
from vitvis.search import SearchRun

__all__ = ["coarsest_stride", "covered_patches", "fields", "moved_maps", "on_grid", "view"]

Record = dict[str, Any]


def view(run: SearchRun, indices: Sequence[int]) -> Tensor:
    """Return photos as the model saw them, from the search's thumbnails: `[B, 3, H, W]` in [0, 1]."""
    return torch.stack([_read(run, index) for index in indices])


def _read(run: SearchRun, index: int) -> Tensor:
    with Image.open(run.thumb(index)) as picture:
        pixels = np.asarray(picture.convert("RGB"), dtype=np.float32) / 255
    return torch.from_numpy(pixels).permute(2, 0, 1)


def fields(bench: Bench, role: str, records: Sequence[Record]) -> dict[str, dict[str, float]]:
    """Measure the effective receptive field of units on their strongest photos, at the patch that fired most.

    Returns:
        By address, each a mean over photos: `side` in px of the square that holds `share` of the gradient's energy, and
        `near`, the share within a square of three by three of the transformer's patches.
    """
    backbone, run, found = bench.backbone(role), bench.search(role), {}
    height, width = backbone.image_size
    grid = bench.sites("model")[0].grid or (height, width)
    patches = 3 * height / grid[0]
    for record in records:
        (unit,) = parse_units([record["address"]], backbone.sites)
        site, best = backbone.site(unit.site), run.record(record["address"])
        if site.grid is None:
            continue
        indices = best["strongest_index"][: bench.settings.photos]
        tokens = best["strongest_token"][: len(indices)]
        images = view(run, indices).to(backbone.mean.device)
        rows = []
        for energy, token in zip(gradient_energy(backbone, site, unit, images, tokens), tokens, strict=True):
            row, column = divmod(token, site.grid[1])
            centre = ((row + 0.5) * height / site.grid[0], (column + 0.5) * width / site.grid[1])
            rows.append((square_side(energy, centre, bench.settings.share), box_share(energy, centre, patches)[0]))
        means = _finite_means(np.array(rows))
        found[record["address"]] = dict(zip(("side", "near"), means, strict=True))
    return found


def moved_maps(bench: Bench, role: str, records: Sequence[Record], photos: int = 32) -> dict[str, float]:
    """Return, by address, how well a unit's map moves with its picture: mean of `following` over photos and two shifts.

    The photos are spread evenly over the data, and moved cyclically by the coarsest stride of either model, down and to
    the right.
    """
    backbone = bench.backbone(role)
    size = backbone.image_size
    units = parse_units([record["address"] for record in records], backbone.sites)
    sites = [site for name in dict.fromkeys(unit.site for unit in units) if (site := backbone.site(name)).grid]
    length = bench.source.length or photos
    view = ModelView(backbone.transform())
    chosen = sorted({int(place) for place in np.linspace(0, length - 1, min(photos, length))})
    stride = coarsest_stride(bench)
    values: dict[str, list[float]] = {unit.address: [] for unit in units}
    with torch.inference_mode(), Tap(backbone, sites) as tap:
        for batch in make_loader(bench.source, view, batch_size=16, indices=chosen, objects=False):
            images = batch.images.to(backbone.mean.device)
            plain = tap(images)
            for axis in (0, 1):
                moved = tap(images.roll(stride, dims=2 + axis))
                for site in sites:
                    own = [unit for unit in units if unit.site == site.name]
                    before, after = (_maps(own, site, read[site.name]) for read in (plain, moved))
                    assert site.grid is not None
                    steps = round(stride * site.grid[axis] / size[axis])
                    for place, unit in enumerate(own):
                        pairs = zip(before[place], after[place], strict=True)
                        shift = (steps, 0) if axis == 0 else (0, steps)
                        values[unit.address] += [following(one, other, shift) for one, other in pairs]
    return {address: _finite_means(np.array(found)[:, None])[0] for address, found in values.items() if found}


def coarsest_stride(bench: Bench) -> int:
    """Return the pixels between patches of the coarsest site of either model: a move that is whole patches for all."""
    return max(
        bench.backbone(role).image_size[0] // min(site.grid[0] for site in bench.sites(role) if site.grid)
        for role in ROLES
    )


def _maps(units: Sequence[Unit], site: Site, activations: Tensor) -> np.ndarray:
    """Return the patch maps of units of a site, `[units, B, rows, cols]`."""
    assert site.grid is not None
    values = read_units(activations, list(units), site)[:, site.prefix_tokens :]
    return values.unflatten(1, site.grid).permute(3, 0, 1, 2).cpu().numpy()


def covered_patches(bench: Bench, role: str, indices: Sequence[int]) -> dict[int, Tensor]:
    """Return the mask `[H, W]` of the object, as the model sees it, by dataset index; photos without are left out."""
    if not bench.source.has_objects:
        return {}
    masks: dict[int, Tensor] = {}
    view = ModelView(bench.backbone(role).transform(), masks=True)
    for batch in make_loader(bench.source, view, batch_size=64, indices=sorted(set(indices))):
        if batch.masks is None:
            continue
        for index, mask in zip(batch.indices.tolist(), batch.masks, strict=True):
            if mask.isfinite().all():
                masks[index] = mask
    return masks


def on_grid(mask: Tensor, grid: tuple[int, int]) -> np.ndarray:
    """Return the share of each patch that a mask `[H, W]` covers, `[rows, cols]`."""
    return adaptive_avg_pool2d(mask[None, None], grid)[0, 0].numpy()


def _finite_means(table: np.ndarray) -> list[float]:
    """Return the mean of what is finite in each column, NaN where nothing is."""
    return [
        float(column[np.isfinite(column)].mean()) if np.isfinite(column).any() else float("nan") for column in table.T
    ]
