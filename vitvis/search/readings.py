"""What a search keeps of one site and one batch, read off the moment the site is computed.

The activations of all sites together are large (77 MB a batch for the bundled ViT, 1 GB for a ViT-B at 224 px), and
fall out of the processor's caches before the forward pass ends. A search needs little of them: a mean an image and
unit, and the maps of those images that are about to enter a ranking.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from vitvis.backbones import Site, select_tokens
from vitvis.search import topk
from vitvis.search.codes import Codes
from vitvis.search.layout import Group, Layout
from vitvis.search.topk import TopK

__all__ = ["RegionMeans", "SiteReader", "SiteReading"]

_HALF = 65504.0  # largest float16


@dataclass(frozen=True)
class RegionMeans:
    """Mean activations inside and outside of the regions of m images.

    Attributes:
        rows: int64 `[m]`, rows of the batch, ascending.
        means: float32 `[m, 2, U]`: inside, outside.
    """

    rows: Tensor
    means: Tensor


@dataclass(frozen=True)
class SiteReading:
    """What is kept of one site and one batch, for the U units that are watched there.

    Attributes:
        scores: float32 `[B, U]`, mean over the tokens that count.
        candidates: int64 `[n]`, ascending: `row * U + unit` of each image that beats the last one of the unit's
            ranking; None where the site has no patches.
        tokens: int32 `[n]`, strongest patch of each.
        maps: float16 `[n, P]`, patch map of each; None where maps are not kept.
        regions: None where the batch has none.
        fired: int64 `[U]`, tokens that count on which each latent was on; None but for latents.
    """

    scores: Tensor
    candidates: Tensor | None = None
    tokens: Tensor | None = None
    maps: Tensor | None = None
    regions: RegionMeans | None = None
    fired: Tensor | None = None


class SiteReader:
    """Reads the sites of one batch; `tap(images, reader)` calls it with each.

    Args:
        layout: The units.
        strongest: The rankings before this batch.
        indices: int64 `[B]`, dataset indices.
        masks: float32 `[B, H, W]`, share of each pixel that lies on an object; NaN in images without a region.
        maps: Whether to keep patch maps.
    """

    def __init__(
        self, layout: Layout, strongest: TopK, indices: Tensor, masks: Tensor | None = None, *, maps: bool = True
    ) -> None:
        self.layout, self.strongest, self.indices, self.masks, self.maps = layout, strongest, indices, masks, maps
        self._placed = indices.to(strongest.keys.device)
        self._bar = topk.bar_of(strongest, self._placed)
        self._groups = {group.site.name: group for group in layout.groups}
        self._shares: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

    def __call__(self, site: Site, activations: Tensor) -> SiteReading:
        """Read one site, `[B, T, C]`; nothing of the activation itself is kept. Of latents: what they are made of."""
        group = self._groups[site.name]
        if group.latents:
            return self._read_latents(group, activations.detach())
        units = group.read(activations.detach())  # [B, T, U]
        device = self.strongest.keys.device
        scores = select_tokens(units, site, self.layout.tokens).mean(1).float().to(device)
        if not group.patches:
            return SiteReading(scores)
        rising = self._bar.at(slice(group.first, group.stop)).beaten(scores, self._placed)
        row, unit = rising.nonzero(as_tuple=True)  # image by image, as the activations lie in memory
        chosen = units[row.to(units.device), site.prefix_tokens :, unit.to(units.device)].to(device)  # [n, P]
        return SiteReading(
            scores,
            row * scores.shape[1] + unit,
            chosen.argmax(1).to(torch.int32),
            chosen.clamp_(-_HALF, _HALF).half() if self.maps else None,
            self._compare(group, units),
        )

    def _read_latents(self, group: Group, activations: Tensor) -> SiteReading:
        """Read the latents that are on, without ever holding those that are off."""
        codes = Codes.of(activations, group)
        device = self.strongest.keys.device
        tokens = activations.shape[1]
        counted = torch.zeros(tokens, device=codes.values.device)
        chosen = select_tokens(torch.arange(tokens)[None, :, None], group.site, self.layout.tokens).flatten()
        counted[chosen.to(counted.device)] = 1
        batch, units = len(activations), len(group.units)
        weights = codes.values * counted[codes.tokens] / len(chosen)
        scores = codes.add_up(weights, batch)
        scores = scores.masked_fill(~activations.isfinite().flatten(1).all(1)[:, None], torch.nan).to(device)
        fired = torch.bincount(codes.units[counted[codes.tokens] > 0], minlength=units).to(device)
        if not group.patches:
            return SiteReading(scores, fired=fired)
        bar = self._bar.at(slice(group.first, group.stop))
        firing = torch.where(scores == 0, torch.nan, scores)  # what is off everywhere is in no ranking
        row, unit = bar.beaten(firing, self._placed).nonzero(as_tuple=True)
        candidates = row * units + unit
        maps = codes.maps(candidates, group).to(device)
        return SiteReading(
            scores,
            candidates,
            maps.argmax(1).to(torch.int32),
            maps.clamp(-_HALF, _HALF).half() if self.maps else None,
            self._compare_latents(group, codes),
            fired,
        )

    def _compare_latents(self, group: Group, codes: Codes) -> RegionMeans | None:
        found = self._region_weights(group)
        if found is None:
            return None
        rows, weights = found
        weights = weights.to(codes.values.device)
        place = torch.full((int(self.indices.shape[0]),), -1, device=codes.values.device)
        place[rows.to(place.device)] = torch.arange(len(rows), device=place.device)
        patches = codes.tokens - group.site.prefix_tokens
        kept = (patches >= 0) & (place[codes.rows] >= 0)
        part = Codes(place[codes.rows][kept], patches[kept], codes.units[kept], codes.values[kept], codes.width)
        both = [part.add_up(weights[part.rows, side, part.tokens] * part.values, len(rows)) for side in (0, 1)]
        return RegionMeans(rows, torch.stack(both, 1))

    def _region_weights(self, group: Group) -> tuple[Tensor, Tensor] | None:
        """Return which images of the batch have regions at the group's grid, and their weights; None: none has."""
        grid = group.site.grid
        if self.masks is None or grid is None:
            return None
        if grid not in self._shares:
            self._shares[grid] = _weights(self.masks, grid)
        return self._shares[grid] if len(self._shares[grid][0]) else None

    def _compare(self, group: Group, units: Tensor) -> RegionMeans | None:
        """Compare what lies inside and outside of the regions; patches on a border count in part."""
        found = self._region_weights(group)
        if found is None:
            return None
        rows, weights = found
        patches = units[:, group.site.prefix_tokens :]
        if len(rows) < len(patches):
            patches = patches[rows.to(patches.device)]
        return RegionMeans(rows, (weights.to(patches.device) @ patches).float())


def _weights(masks: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return which images have both an inside and an outside of a patch or more, and their weights `[m, 2, P]`."""
    share = functional.adaptive_avg_pool2d(masks[:, None].float(), grid).flatten(1)  # [B, P]
    area = share.sum(1)
    usable = (area >= 1) & (area <= share.shape[1] - 1)  # NaN compares false: no region
    rows = usable.nonzero()[:, 0]
    share, size = share[rows], area[rows][:, None]
    return rows, torch.stack([share / size, (1 - share) / (share.shape[1] - size)], 1)
