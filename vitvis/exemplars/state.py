"""All that a search knows so far, and how a batch changes it. Its size does not depend on the length of the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from vitvis.exemplars import statistics, topk
from vitvis.exemplars.layout import Group, Layout
from vitvis.exemplars.sample import Sample, no_sample
from vitvis.exemplars.statistics import BINS, Moments
from vitvis.exemplars.topk import TopK

__all__ = ["SearchState", "merge_states", "observe", "start"]

_HALF = 65504.0  # largest float16


@dataclass
class SearchState:
    """Rankings, statistics and maps of U units.

    Attributes:
        strongest: The k highest images of each unit.
        weakest: The k lowest.
        tokens: int32 `[U, k]`, strongest patch in the image of each slot of `strongest`; -1 without patches.
        maps: Site -> float16 `[units, k, patches]`, by slot; absent for sites without patches or when maps are off.
        moments: Count, mean, deviations, positive images.
        counts: int32 `[U, BINS]`, histogram.
        low: float32 `[U]`, lowest activation.
        high: float32 `[U]`, highest activation.
        sample: Images that deciles are drawn from.
        inside: float64 `[U]`, sum over images of the mean activation inside of regions.
        outside: float64 `[U]`, likewise outside.
        regions: int64 `[U]`, images that have both an inside and an outside at the unit's grid.
        position: Images of this rank's share that are done, broken ones too.
        skipped: `(dataset index, key, reason)` of images left out.
    """

    strongest: TopK
    weakest: TopK
    tokens: Tensor
    maps: dict[str, Tensor]
    moments: Moments
    counts: Tensor
    low: Tensor
    high: Tensor
    sample: Sample
    inside: Tensor
    outside: Tensor
    regions: Tensor
    position: int = 0
    skipped: list[tuple[int, str, str]] = field(default_factory=list)

    def pack(self) -> dict[str, Any]:
        """Return plain tensors, numbers and lists, on the CPU."""
        own = {name: getattr(self, name).cpu() for name in _TENSORS}
        own |= {f"strongest_{name}": getattr(self.strongest, name).cpu() for name in ("keys", "slots")}
        own |= {f"weakest_{name}": getattr(self.weakest, name).cpu() for name in ("keys", "slots")}
        own |= {f"moments_{name}": getattr(self.moments, name).cpu() for name in ("mean", "squares", "positive")}
        own |= {f"sample_{name}": getattr(self.sample, name).cpu() for name in ("hashes", "indices", "values")}
        return own | {
            "maps": {name: value.cpu() for name, value in self.maps.items()},
            "count": self.moments.count,
            "seed": self.sample.seed,
            "position": self.position,
            "skipped": [list(entry) for entry in self.skipped],
        }

    @classmethod
    def unpack(cls, packed: Mapping[str, Any], device: torch.device | str = "cpu") -> SearchState:
        """Undo `pack`."""

        def get(name: str) -> Tensor:
            return packed[name].to(device)

        return cls(
            strongest=TopK(get("strongest_keys"), get("strongest_slots"), True),
            weakest=TopK(get("weakest_keys"), get("weakest_slots"), False),
            maps={name: value.to(device) for name, value in packed["maps"].items()},
            moments=Moments(packed["count"], *(get(f"moments_{name}") for name in ("mean", "squares", "positive"))),
            sample=Sample(packed["sample_hashes"], packed["sample_indices"], get("sample_values"), packed["seed"]),
            position=packed["position"],
            skipped=[(int(index), str(key), str(reason)) for index, key, reason in packed["skipped"]],
            **{name: get(name) for name in _TENSORS},
        )


_TENSORS = ("tokens", "counts", "low", "high", "inside", "outside", "regions")


def start(
    layout: Layout, k: int, *, sample: int = 0, seed: int = 0, maps: bool = True, device: torch.device | str = "cpu"
) -> SearchState:
    """Return the state before the first image.

    Args:
        layout: The units.
        k: Images kept at either end.
        sample: Images that deciles are drawn from.
        seed: Of that draw.
        maps: Whether to keep patch maps of the strongest images.
        device: Where all of it lies, but for the hashes of the sample.
    """
    width = layout.width
    zero = torch.zeros(width, dtype=torch.float64, device=device)
    kept = {
        group.site.name: torch.zeros(len(group.units), k, group.patches, dtype=torch.float16, device=device)
        for group in layout.groups
        if maps and group.patches
    }
    return SearchState(
        strongest=topk.empty(width, k, device=device),
        weakest=topk.empty(width, k, largest=False, device=device),
        tokens=torch.full((width, k), -1, dtype=torch.int32, device=device),
        maps=kept,
        moments=statistics.no_moments(width, device),
        counts=torch.zeros(width, BINS, dtype=torch.int32, device=device),
        low=torch.full((width,), torch.inf, device=device),
        high=torch.full((width,), -torch.inf, device=device),
        sample=no_sample(sample, width, seed, device),
        inside=zero,
        outside=zero.clone(),
        regions=torch.zeros(width, dtype=torch.int64, device=device),
    )


def observe(
    state: SearchState,
    layout: Layout,
    activations: Mapping[str, Tensor],
    indices: Tensor,
    masks: Tensor | None = None,
) -> Tensor:
    """Let one batch in; the state changes in place.

    The activation of an image is the mean of the unit over the tokens that count, in float32. An image with an
    activation that isn't a finite number is left out altogether.

    Args:
        state: The state.
        layout: The units.
        activations: Site -> `[B, T, C]`, from a `Tap`.
        indices: int64 `[B]`, dataset indices.
        masks: float32 `[B, H, W]`, share of each pixel that lies on an object; NaN in images without a region.

    Returns:
        bool `[B]` on the CPU: which images were left out.
    """
    from vitvis.backbones import select_tokens

    device = state.tokens.device
    read = {group.site.name: group.read(activations[group.site.name].detach()) for group in layout.groups}
    scores = [
        select_tokens(read[group.site.name], group.site, layout.tokens).mean(1).float().to(device)
        for group in layout.groups
    ]
    values = torch.cat(scores, 1)
    broken = ~values.isfinite().all(1)
    rows = (~broken).nonzero()[:, 0]
    if len(rows) < len(values):
        values, indices = values[rows], indices[rows.cpu()]
    if not len(rows):
        return broken.cpu()
    state.moments = statistics.combine(state.moments, statistics.moments_of(values))
    statistics.histogram(values, state.counts)
    state.low, state.high = state.low.minimum(values.amin(0)), state.high.maximum(values.amax(0))
    if len(state.sample.hashes):
        state.sample.update(values, indices)
    state.weakest, _ = topk.update(state.weakest, values, indices)
    state.strongest, placed = topk.update(state.strongest, values, indices)
    bounds = torch.tensor([group.first for group in layout.groups] + [layout.width], device=device)
    cuts = torch.searchsorted(placed.units, bounds).tolist()  # the units come sorted
    for group, low, high in zip(layout.groups, cuts, cuts[1:], strict=False):
        if group.patches and low < high:
            units = placed.units[low:high]
            _keep_maps(state, group, read[group.site.name], units, rows[placed.rows[low:high]], placed.slots[low:high])
    if masks is not None:
        _compare_regions(state, layout, read, masks, rows)
    return broken.cpu()


def _keep_maps(state: SearchState, group: Group, read: Tensor, units: Tensor, rows: Tensor, slots: Tensor) -> None:
    """Write the patch maps of images that have just come into a ranking over those that left it."""
    own = units - group.first
    maps = read[rows.to(read.device), group.site.prefix_tokens :, own.to(read.device)].to(state.tokens.device)  # [n, P]
    state.tokens[units, slots] = maps.argmax(1).to(torch.int32)
    if group.site.name in state.maps:
        state.maps[group.site.name][own, slots] = maps.clamp(-_HALF, _HALF).half()


def _compare_regions(
    state: SearchState, layout: Layout, read: Mapping[str, Tensor], masks: Tensor, rows: Tensor
) -> None:
    """Add each image's mean activation inside and outside of its regions; patches on a border count in part."""
    shares: dict[tuple[int, int], Tensor] = {}
    for group in layout.groups:
        grid = group.site.grid
        if grid is None:
            continue
        if grid not in shares:
            shares[grid] = functional.adaptive_avg_pool2d(masks[:, None].float(), grid).flatten(1)  # [B, P]
        share = shares[grid][rows.to(masks.device)]
        area = share.sum(1)
        usable = (area >= 1) & (area <= share.shape[1] - 1)  # NaN compares false: no region
        if not usable.any():
            continue
        chosen = rows.to(usable.device)[usable]
        weights, size = share[usable], area[usable][:, None]
        patches = read[group.site.name][chosen, group.site.prefix_tokens :]
        both = torch.stack([weights / size, (1 - weights) / (share.shape[1] - size)], 1) @ patches  # [B, 2, U]
        sums = both.double().sum(0).to(state.inside.device)
        state.inside[group.first : group.stop] += sums[0]
        state.outside[group.first : group.stop] += sums[1]
        state.regions[group.first : group.stop] += len(chosen)


def merge_states(first: SearchState, second: SearchState, layout: Layout) -> SearchState:
    """Join the states of two ranks, exactly; neither is used afterwards."""
    strongest, origin = topk.merge(first.strongest, second.strongest)
    weakest, _ = topk.merge(first.weakest, second.weakest)
    maps = {}
    for group in layout.groups:
        name = group.site.name
        if name in first.maps:
            both = torch.cat([first.maps[name], second.maps[name]], 1)
            own = origin[group.first : group.stop, :, None].expand(-1, -1, both.shape[2])
            maps[name] = both.gather(1, own)
    first.sample.merge(second.sample)
    return replace(
        first,
        strongest=strongest,
        weakest=weakest,
        tokens=torch.cat([first.tokens, second.tokens], 1).gather(1, origin),
        maps=maps,
        moments=statistics.combine(first.moments, second.moments),
        counts=first.counts + second.counts,
        low=first.low.minimum(second.low),
        high=first.high.maximum(second.high),
        inside=first.inside + second.inside,
        outside=first.outside + second.outside,
        regions=first.regions + second.regions,
        position=first.position + second.position,
        skipped=sorted({*first.skipped, *second.skipped}),
    )
