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
        candidates: int64 `[n]`, ascending: `unit * B + row` of each image that beats the last one of the unit's
            ranking; None where the site has no patches.
        tokens: int32 `[n]`, strongest patch of each.
        maps: float16 `[n, P]`, patch map of each; None where maps are not kept.
        regions: None where the batch has none.
    """

    scores: Tensor
    candidates: Tensor | None = None
    tokens: Tensor | None = None
    maps: Tensor | None = None
    regions: RegionMeans | None = None


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
        """Read one site, `[B, T, C]`; nothing of the activation itself is kept."""
        group = self._groups[site.name]
        units = group.read(activations.detach())  # [B, T, U]
        device = self.strongest.keys.device
        scores = select_tokens(units, site, self.layout.tokens).mean(1).float().to(device)
        if not group.patches:
            return SiteReading(scores)
        rising = self._bar.of(group.first, group.stop).beaten(scores, self._placed)
        unit, row = rising.T.nonzero(as_tuple=True)
        chosen = units[row.to(units.device), site.prefix_tokens :, unit.to(units.device)].to(device)  # [n, P]
        return SiteReading(
            scores,
            unit * len(scores) + row,
            chosen.argmax(1).to(torch.int32),
            chosen.clamp_(-_HALF, _HALF).half() if self.maps else None,
            self._compare(group, units),
        )

    def _compare(self, group: Group, units: Tensor) -> RegionMeans | None:
        """Compare what lies inside and outside of the regions; patches on a border count in part."""
        grid = group.site.grid
        if self.masks is None or grid is None:
            return None
        if grid not in self._shares:
            self._shares[grid] = _weights(self.masks, grid)
        rows, weights = self._shares[grid]
        if not len(rows):
            return None
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
