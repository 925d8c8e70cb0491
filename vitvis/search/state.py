"""All that a search knows so far, and how a batch changes it. Its size does not depend on the length of the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from vitvis.search import statistics, topk
from vitvis.search.layout import Group, Layout
from vitvis.search.readings import RegionMeans, SiteReading
from vitvis.search.sample import Sample, keyed_hash, no_sample
from vitvis.search.statistics import BINS, Histogram, Moments
from vitvis.search.topk import TopK

__all__ = ["SearchState", "merge_states", "observe", "start"]


@dataclass
class SearchState:
    """Rankings, statistics and maps of U units.

    Attributes:
        strongest: The k highest images of each unit.
        weakest: The k lowest.
        tokens: int32 `[U, k]`, strongest patch in the image at each place of `strongest`; -1 without patches.
        maps: Site -> float16 `[units, k, patches]`, by place; absent for sites without patches or when maps are off.
        moments: Count, mean, deviations, positive images.
        histogram: Counts by bin.
        low: float32 `[U]`, lowest activation.
        high: float32 `[U]`, highest activation.
        sample: Images that deciles are drawn from.
        inside: Sum over images of the mean activation inside of regions, fixed point (`statistics.add_exactly`).
        outside: Likewise outside.
        regions: int64 `[U]`, images that have both an inside and an outside at the unit's grid.
        fired: int64 `[U]`, tokens on which a latent was on; 0 of other units.
        labelled: The n highest images of each unit, whose labels are counted; None where they have none.
    """

    strongest: TopK
    weakest: TopK
    tokens: Tensor
    maps: dict[str, Tensor]
    moments: Moments
    histogram: Histogram
    low: Tensor
    high: Tensor
    sample: Sample
    inside: Tensor
    outside: Tensor
    regions: Tensor
    fired: Tensor
    labelled: TopK | None = None

    def pack(self) -> dict[str, Any]:
        """Return plain tensors, numbers and lists, on the CPU."""
        own = {name: getattr(self, name).cpu() for name in _TENSORS}
        rankings = {"strongest": self.strongest, "weakest": self.weakest, "labelled": self.labelled}
        own |= {name: top.keys.cpu() for name, top in rankings.items() if top is not None}
        own |= {f"moments_{name}": getattr(self.moments, name).cpu() for name in ("total", "squares", "positive")}
        own |= {f"sample_{name}": getattr(self.sample, name).cpu() for name in ("hashes", "indices", "values")}
        return own | {
            "maps": {name: _pack_maps(value.cpu()) for name, value in self.maps.items()},
            "counts": self.histogram.counts.cpu(),
            "count": self.moments.count,
            "seed": self.sample.seed,
        }

    @classmethod
    def unpack(cls, packed: Mapping[str, Any], device: torch.device | str = "cpu") -> SearchState:
        """Undo `pack`."""

        def get(name: str) -> Tensor:
            return packed[name].to(device)

        return cls(
            strongest=TopK(get("strongest")),
            weakest=TopK(get("weakest"), largest=False),
            maps={name: _unpack_maps(value).to(device) for name, value in packed["maps"].items()},
            moments=Moments(packed["count"], *(get(f"moments_{name}") for name in ("total", "squares", "positive"))),
            sample=Sample(packed["sample_hashes"], packed["sample_indices"], get("sample_values"), packed["seed"]),
            histogram=Histogram(get("counts")),
            labelled=TopK(get("labelled")) if "labelled" in packed else None,
            **{name: get(name) for name in _TENSORS},
        )


_TENSORS = ("tokens", "low", "high", "inside", "outside", "regions", "fired")


def _pack_maps(maps: Tensor) -> Tensor | dict[str, Tensor]:
    """Leave the zeros out where nearly all are: maps of latents."""
    if 6 * int(maps.count_nonzero()) > maps.numel():  # a place takes 8 bytes, and a value 2
        return maps
    places = maps.flatten().nonzero()[:, 0]
    return {"shape": torch.tensor(maps.shape), "places": places, "values": maps.flatten()[places]}


def _unpack_maps(packed: Any) -> Tensor:
    if isinstance(packed, Tensor):
        return packed
    maps = torch.zeros(packed["shape"].tolist(), dtype=torch.float16)
    maps.view(-1)[packed["places"]] = packed["values"]
    return maps


def start(
    layout: Layout,
    k: int,
    *,
    sample: int = 0,
    seed: int = 0,
    maps: bool = True,
    labelled: int = 0,
    device: torch.device | str = "cpu",
) -> SearchState:
    """Return the state before the first image.

    Args:
        layout: The units.
        k: Images kept at either end.
        sample: Images that deciles are drawn from.
        seed: Of that draw.
        maps: Whether to keep patch maps of the strongest images.
        labelled: Strongest images whose labels are counted.
        device: Where all of it lies, but for the hashes of the sample.
    """
    width = layout.width
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
        histogram=Histogram(torch.zeros(width, BINS, dtype=torch.int32, device=device)),
        low=torch.full((width,), torch.inf, device=device),
        high=torch.full((width,), -torch.inf, device=device),
        sample=no_sample(sample, width, seed, device),
        inside=statistics.zero_sum(width, device),
        outside=statistics.zero_sum(width, device),
        regions=torch.zeros(width, dtype=torch.int64, device=device),
        fired=torch.zeros(width, dtype=torch.int64, device=device),
        labelled=topk.empty(width, labelled, device=device) if labelled else None,
    )


def observe(state: SearchState, layout: Layout, readings: Mapping[str, SiteReading], indices: Tensor) -> Tensor:
    """Let one batch in; the state changes in place.

    An image with an activation that isn't a finite number is left out altogether.

    Args:
        state: The state, the one that the reader of this batch saw.
        layout: The units.
        readings: Site -> what was read there.
        indices: int64 `[B]`, dataset indices.

    Returns:
        bool `[B]` on the CPU: which images were left out.
    """
    # a unit's activations side by side: statistics over images are ten times as fast as with the units side by side
    values = torch.cat([readings[group.site.name].scores.T for group in layout.groups]).T  # [B, U]
    batch = len(values)
    broken = torch.zeros(batch, dtype=torch.bool, device=values.device)
    if not values.sum().isfinite():  # rare, and much faster to rule out than to look at each
        broken = ~values.isfinite().all(1)
    rows = (~broken).nonzero()[:, 0]
    if len(rows) < batch:
        values, indices = values.T[:, rows].T, indices[rows.cpu()]
    if not len(rows):
        return broken.cpu()
    state.moments = state.moments.add(values)
    state.histogram.add(values)
    state.low, state.high = state.low.minimum(values.amin(0)), state.high.maximum(values.amax(0))
    if len(state.sample.hashes):
        state.sample.update(values, indices)
    strong, weak = _rankable(values, layout, indices)
    topk.update(state.weakest, weak, indices)
    placed = topk.update(state.strongest, strong, indices)
    if state.labelled is not None:
        topk.update(state.labelled, strong, indices)
    bounds = torch.tensor([group.first for group in layout.groups] + [layout.width], device=values.device)
    cuts = torch.searchsorted(placed.units, bounds).tolist()  # the units come sorted
    for group, low, high in zip(layout.groups, cuts, cuts[1:], strict=False):
        reading = readings[group.site.name]
        if reading.candidates is not None and low < high:
            units, places = placed.units[low:high] - group.first, placed.places[low:high]
            found = torch.searchsorted(reading.candidates, rows[placed.rows[low:high]] * len(group.units) + units)
            _keep_maps(state, group, reading, found, units, places)
        if reading.regions is not None:
            _add_regions(state, group, reading.regions, broken)
        if reading.fired is not None:
            state.fired[group.first : group.stop] += reading.fired
    return broken.cpu()


#: Latents that are off are ranked by chance; such numbers stand for 0 in the ranking of the weakest images.
OFF = 1e-30


def _rankable(values: Tensor, layout: Layout, indices: Tensor) -> tuple[Tensor, Tensor]:
    """Return activations `[B, U]` as they enter the rankings of the strongest and of the weakest images.

    An image on which a latent is off is none of its strongest. It is one of its weakest as much as any other such
    image: which of them are kept is drawn, differently for each latent and the same in every run.
    """
    if not any(group.latents for group in layout.groups):
        return values, values
    strong, weak = values.T.clone().T, values.T.clone().T
    turn = keyed_hash(indices, 1).double().div(2.0**63).to(values.device)  # [B], 0..1
    for group in layout.groups:
        if group.latents:
            own = slice(group.first, group.stop)
            off = values[:, own] == 0
            strong[:, own] = strong[:, own].masked_fill(off, torch.nan)
            shifts = keyed_hash(torch.arange(group.first, group.stop), 2).double().div(2.0**63).to(values.device)
            drawn = (turn[:, None] + shifts).frac().float() * OFF
            weak[:, own] = torch.where(off, drawn, weak[:, own])
    return strong, weak


def _keep_maps(
    state: SearchState, group: Group, reading: SiteReading, found: Tensor, units: Tensor, places: Tensor
) -> None:
    """Write the patch maps of images that have just come into a ranking over those that left it."""
    assert reading.tokens is not None
    state.tokens[units + group.first, places] = reading.tokens[found]
    if group.site.name in state.maps:
        assert reading.maps is not None
        state.maps[group.site.name][units, places] = reading.maps[found]


def _add_regions(state: SearchState, group: Group, regions: RegionMeans, broken: Tensor) -> None:
    """Add each image's mean activation inside and outside of its regions."""
    sound = ~broken[regions.rows.to(broken.device)]
    means = regions.means[sound.to(regions.means.device)].double().sum(0).to(state.inside.device)
    statistics.add_exactly(state.inside[group.first : group.stop], means[0])
    statistics.add_exactly(state.outside[group.first : group.stop], means[1])
    state.regions[group.first : group.stop] += int(sound.sum())


def merge_states(first: SearchState, second: SearchState, layout: Layout) -> SearchState:
    """Join the states of two processes, to the last bit; neither is used afterwards."""
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
        moments=first.moments.merge(second.moments),
        histogram=Histogram(first.histogram.counts + second.histogram.counts),
        low=first.low.minimum(second.low),
        high=first.high.maximum(second.high),
        inside=first.inside + second.inside,
        outside=first.outside + second.outside,
        regions=first.regions + second.regions,
        fired=first.fired + second.fired,
        labelled=None
        if first.labelled is None or second.labelled is None
        else topk.merge(first.labelled, second.labelled)[0],
    )
