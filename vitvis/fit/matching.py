"""Matching: an image whose tokens, at several depths, have the activations of the unit's own best photos.

Adagorgun et al.: VITAL, ICCV 2025, section 3: per channel, the sorted activations of the image's tokens are brought to
the mean of the photos' sorted ones. Sorting forgets where a token was, so that what is matched is how much of the
image does what, and not a layout. Added to the activation, it brings in the colours and surroundings of photos.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vitvis.backbones import Site, Tap, Unit, select_tokens
from vitvis.errors import VitvisError

from .images.picture import read_picture
from .photos import SearchedUnits
from .settings import MatchSettings

if TYPE_CHECKING:
    from vitvis.backbones.backbone import Backbone

__all__ = ["Album", "Matching", "choose_match_sites", "quantile_distance", "sorted_tokens"]

#: At how many depths an image is matched, where the recipe names no sites.
DEPTHS = 4
#: Photos that go through the backbone at once.
BATCH = 16


def sorted_tokens(activations: Tensor, site: Site) -> Tensor:
    """Return activations `[B, T, C]` of a site without special tokens, float32, each channel sorted: `[B, T', C]`."""
    return select_tokens(activations, site, "patches" if site.grid is not None else "all").float().sort(dim=1).values


def quantile_distance(found: Tensor, wanted: Tensor, spread: Tensor) -> Tensor:
    """Return the mean squared difference of sorted activations, in units of the photos' variance.

    Args:
        found: `[U * A, T, C]`, sorted; the copies of an image together.
        wanted: `[U, T, C]`, the mean of the photos' sorted activations.
        spread: `[U]`, variance of the photos' activations about their channels' means.

    Returns:
        `[U]`, over copies, tokens and channels.
    """
    difference = found.unflatten(0, (len(wanted), -1)) - wanted[:, None]
    return difference.square().mean(dim=(1, 2, 3)) / spread


def choose_match_sites(site: Site, sites: Mapping[str, Site], names: Sequence[str] = ()) -> list[Site]:
    """Return where images are matched: what is named, or outputs of up to four blocks before a site, evenly spaced.

    None of them comes after the site in order of execution, so that a step still ends there; a unit of the first block
    is matched at its own site.

    Raises:
        VitvisError: a name that the model does not have.
    """
    order = list(sites)
    until = order.index(site.name) + 1 if site.name in sites else len(order)
    if names:
        from fnmatch import fnmatchcase

        chosen = [sites[name] for name in order if any(fnmatchcase(name, pattern) for pattern in names)]
        if not chosen:
            raise VitvisError(f"match.sites={list(names)}: the model has none of them; vitvis.sites lists all")
        return [other for other in chosen if order.index(other.name) < until] or [site]
    blocks = [sites[name] for name in order[:until] if sites[name].kind == "block"]
    if not blocks:
        return [site]
    count = min(DEPTHS, len(blocks))
    return [blocks[math.ceil((place + 1) * len(blocks) / count) - 1] for place in range(count)]


class Album:
    """The photos of a search that excite units most.

    Args:
        settings: the group `match` of a recipe.
        backbone: the model under study; the search has to be of the same weights.

    Raises:
        VitvisError: no search of this model, or one that kept no thumbnails.
    """

    def __init__(self, settings: MatchSettings, backbone: Backbone) -> None:
        self.settings = settings
        self.search = SearchedUnits(str(settings.search), backbone, "match.search")
        if not (self.search.path / "thumbs").is_dir():
            raise VitvisError(f"match.search={self.search.path}: kept no thumbnails; search again with thumbs=all")
        self.size = backbone.image_size

    def photos(self, unit: Unit) -> list[int]:
        """Return the dataset indices of the photos that a unit's image is matched with, the strongest first.

        Raises:
            VitvisError: the search did not watch the unit.
        """
        return self.search.strongest(unit)[: self.settings.photos]

    def load(self, indices: Sequence[int]) -> Tensor:
        """Return photos as the model saw them, `[N, 3, H, W]` in [0, 1]."""
        return torch.stack([read_picture(self.search.path / "thumbs" / f"{index}.jpg", self.size) for index in indices])


class Matching:
    """What the images of one chunk are matched with.

    Args:
        backbone: the model, on the device of the images.
        site: of all units.
        units: one an image.
        album: their photos.
        device: of the images.

    Attributes:
        sites: where images are matched.
        photos: dataset indices of the photos of each unit.
    """

    def __init__(
        self, backbone: Backbone, site: Site, units: Sequence[Unit], album: Album, device: torch.device
    ) -> None:
        self.weight = album.settings.weight
        self.sites = choose_match_sites(site, backbone.sites, album.settings.sites)
        self.photos = [album.photos(unit) for unit in units]
        wanted: dict[str, list[Tensor]] = {other.name: [] for other in self.sites}
        spread: dict[str, list[Tensor]] = {other.name: [] for other in self.sites}
        known: dict[tuple[int, ...], dict[str, tuple[Tensor, Tensor]]] = {}
        for indices in self.photos:
            key = tuple(indices)
            if key not in known:
                known[key] = self._measure(backbone, album.load(indices).to(device))
            for name, (quantiles, variance) in known[key].items():
                wanted[name].append(quantiles)
                spread[name].append(variance)
        self.wanted = {name: torch.stack(found) for name, found in wanted.items()}
        self.spread = {name: torch.stack(found) for name, found in spread.items()}

    @torch.no_grad()
    def _measure(self, backbone: Backbone, photos: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """Return mean sorted activations `[T, C]` and their variance about the channels' means, by site."""
        parts: dict[str, list[Tensor]] = {site.name: [] for site in self.sites}
        with torch.autocast(photos.device.type, enabled=False), Tap(backbone, self.sites) as tap:
            for batch in photos.split(BATCH):
                found = tap(batch)
                for site in self.sites:
                    parts[site.name].append(sorted_tokens(found[site.name], site))
        measured = {}
        for name, rows in parts.items():
            values = torch.cat(rows)
            variance = values.flatten(0, 1).var(dim=0, correction=0).mean()
            measured[name] = values.mean(dim=0), variance.clamp_min(1e-12)
        return measured

    def keep(self, rows: Tensor) -> None:
        """Go on with some of the images alone; `photos` stay those of all."""
        self.wanted = {name: wanted[rows] for name, wanted in self.wanted.items()}
        self.spread = {name: spread[rows] for name, spread in self.spread.items()}

    def distance(self, found: Mapping[str, Tensor]) -> Tensor:
        """Return how far each image's tokens are from its photos', `[U]`: the mean over the sites.

        Args:
            found: by site, `[U * A, T, C]`, the copies of an image together.
        """
        distances = [
            quantile_distance(sorted_tokens(found[site.name], site), self.wanted[site.name], self.spread[site.name])
            for site in self.sites
        ]
        return torch.stack(distances).mean(dim=0)
