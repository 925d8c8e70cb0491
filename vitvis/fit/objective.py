"""What is maximised: one number for every image and copy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from vitvis.backbones import Site, Unit, read_units, select_tokens
from vitvis.backbones.dictionary import Dictionary
from vitvis.errors import VitvisError
from vitvis.fit.settings import ObjectiveSettings

__all__ = ["Objective", "before_activation", "cosine_units", "latent_codes", "pick", "strongest", "unit_directions"]


def unit_directions(units: Sequence[Unit], site: Site) -> Tensor:
    """Return the direction of every unit in the site's space, with its sign: `[U, C]`, one-hot for a channel."""
    if all(unit.direction is None for unit in units):  # of tens of thousands of latents, no identity matrix is made
        directions = torch.zeros(len(units), site.width)
        signs = torch.tensor([float(unit.sign) for unit in units])
        directions[torch.arange(len(units)), torch.tensor([unit.index for unit in units])] = signs
        return directions
    return read_units(torch.eye(site.width)[None], list(units), site)[0].T.contiguous()


def pick(activations: Tensor, directions: Tensor, channels: Tensor | None = None) -> Tensor:
    """Read from each image its own unit.

    Args:
        activations: `[U, A, T, C]`.
        directions: `[U, C]`.
        channels: `[U]`, where every direction is one-hot: only that channel is read, times its sign.

    Returns:
        `[U, A, T]`.
    """
    if channels is None:
        return torch.einsum("uatc,uc->uat", activations, directions.to(activations))
    rows = torch.arange(len(channels), device=activations.device)
    signs = directions[rows, channels].to(activations)
    return activations[rows, :, :, channels] * signs[:, None, None]


def latent_codes(activations: Tensor, dictionary: Dictionary, latents: Tensor, signs: Tensor) -> Tensor:
    """Read from each image its own latent; where it is off on a whole copy, what goes into the sparsifying step.

    Args:
        activations: `[U, A, T, D]`, what goes into the dictionary.
        dictionary: of the site.
        latents: `[U]`, indices.
        signs: `[U]`.

    Returns:
        `[U, A, T]`.
    """
    before, on = dictionary.own(activations, latents)
    codes = torch.where(on, before, torch.zeros_like(before))
    values = torch.where(on.any(dim=-1, keepdim=True), codes, before)
    return values * signs[:, None, None]


def cosine_units(units: Sequence[Unit]) -> Tensor:
    """Say which units are prompts, `[U]`: what counts of them is the cosine, whatever the recipe measures."""
    return torch.tensor([unit.vector is not None for unit in units])


def strongest(values: Tensor, share: float) -> Tensor:
    """Average the strongest share of the tokens.

    Args:
        values: `[..., T]`.
        share: 0..1; at least one token counts.

    Returns:
        `[...]`.
    """
    tokens = values.shape[-1]
    count = max(1, math.ceil(share * tokens - 1e-6))
    return values.mean(dim=-1) if count >= tokens else values.topk(count, dim=-1, sorted=False).values.mean(dim=-1)


def before_activation(site: Site, sites: Mapping[str, Site]) -> Site | None:
    """Return the site of what goes into the activation function of an `mlp` site; None where there is none."""
    if site.kind != "mlp":
        return None
    other = sites.get(f"{site.name}_pre")
    return other if other is not None and other.width == site.width else None


class Objective:
    """The objective of one chunk.

    Units of an `mlp` site start on the pre-activation, where the slope is 1 everywhere: GELU's is about 0, or points
    the wrong way, for a unit that the starting noise leaves below -0.75, and such a unit would stay grey. Latents
    start before the step that sparsifies: a code that is off has no slope at all. Where the recipe goes on to the code
    itself, a latent that is off on all tokens of a copy is still read before that step.

    Args:
        site: of all units.
        units: one an image.
        sites: of the backbone, to find the pre-activation.
        settings: the group `objective` of a recipe.

    Raises:
        VitvisError: a cosine is wanted of latents.
    """

    def __init__(
        self, site: Site, units: Sequence[Unit], sites: Mapping[str, Site], settings: ObjectiveSettings
    ) -> None:
        if site.dictionary is not None and settings.measure == "cosine":
            raise VitvisError(f"objective.measure=cosine: is for channels and directions; {site.name} has latents")
        self.site = site
        self.settings = settings
        self.pre_site = None if any(unit.direction for unit in units) else before_activation(site, sites)
        self.directions = unit_directions(units, site)
        plain = all(unit.direction is None for unit in units)
        self.cosine = cosine_units(units) | (settings.measure == "cosine")
        self.any_cosine = bool(self.cosine.any())
        self.channels = torch.tensor([unit.index for unit in units]) if plain else None
        self.signs = torch.tensor([float(unit.sign) for unit in units])

    def to(self, device: torch.device) -> Objective:
        """Move the directions."""
        self.directions = self.directions.to(device)
        self.cosine = self.cosine.to(device)
        self.signs = self.signs.to(device)
        self.channels = None if self.channels is None else self.channels.to(device)
        return self

    def keep(self, rows: Tensor) -> None:
        """Go on with the units of some images alone."""
        self.directions, self.cosine, self.signs = self.directions[rows], self.cosine[rows], self.signs[rows]
        self.channels = None if self.channels is None else self.channels[rows]

    @property
    def linear(self) -> bool:
        """Whether one product a token with `directions` is all that is read, so that a shorter way may stand in.

        A cosine needs the whole vector, and so may `values` of a subclass; latents are read one by one as it is.
        """
        return self.site.dictionary is None and not self.any_cosine and type(self).values is Objective.values

    def site_at(self, progress: float) -> Site:
        """Return the site to read when `progress` (0..1) of the steps is done."""
        return self.pre_site if self.pre_site is not None and progress < self.settings.pre else self.site.source

    def share_at(self, progress: float) -> float:
        """Return the share of the tokens that counts when `progress` (0..1) of the steps is done."""
        end = self.settings.share if self.settings.share_end is None else self.settings.share_end
        return self.settings.share + (end - self.settings.share) * progress

    def __call__(self, activations: Tensor, progress: float) -> Tensor:
        """Return what is maximised.

        Args:
            activations: `[U * A, T, C]` of `site_at(progress)`, the copies of an image together.
            progress: 0..1.

        Returns:
            `[U, A]`.
        """
        return self.finish(self.values(activations, progress), progress)

    def finish(self, values: Tensor, progress: float) -> Tensor:
        """Average the share of the tokens that counts: `[U, A, T]` -> `[U, A]`."""
        return strongest(values, self.share_at(progress))

    def values(self, activations: Tensor, progress: float) -> Tensor:
        """Return what each image's own unit is on its tokens: `[U * A, T, C]` -> `[U, A, T']`."""
        chosen = select_tokens(activations, self.site_at(progress), self.settings.tokens)
        chosen = chosen.unflatten(0, (len(self.directions), -1))
        if self.site.dictionary is not None and self.channels is not None:
            if progress < self.settings.pre:
                return self.site.dictionary.own(chosen, self.channels)[0] * self.signs[:, None, None]
            return latent_codes(chosen, self.site.dictionary, self.channels, self.signs)
        values = pick(chosen, self.directions, self.channels)
        if self.any_cosine:
            lengths = chosen.norm(dim=-1) * self.directions.norm(dim=-1)[:, None, None]
            values = torch.where(self.cosine[:, None, None], values / lengths.clamp_min(1e-6), values)
        return values
