"""Several pictures of one unit that differ in what the model sees in them, behind a gate.

Olah, Mordvintsev, Schubert: Feature Visualization, Distill 2017, "Diversity": pictures of one unit are pushed apart by
the cosine of their Gram matrices, which say which features of a layer go together, and not where.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vitvis.backbones import Site, Unit, select_tokens
from vitvis.errors import VitvisError
from vitvis.fit.settings import DiversitySettings

from .measure import measure_firing
from .photos import SearchedUnits

if TYPE_CHECKING:
    from vitvis.backbones.backbone import Backbone

    from .chunks import Chunk

__all__ = ["Diversity", "Gate", "choose_diversity_site", "gram_cosines", "photos_of"]

#: Steps from one question of the gate to the next; each costs a forward pass of the clean images.
EVERY = 8
#: How far above the floor, as a share of it, the weakest has to be for the weight to come back at full pace.
MARGIN = 0.1


def gram_cosines(features: Tensor, others: Tensor) -> Tensor:
    """Return the cosines of the Gram matrices `X'X` of variants' features, `[..., V, V]` in 0..1.

    Gram matrices of many channels are not made: `<X'X, Y'Y> = |X Y'|²`, which is the cheaper side of the two where
    there are fewer tokens than channels.

    Args:
        features: `[..., V, T, C]`; gradients reach these.
        others: the same or a detached copy, compared with each of `features`.
    """
    if features.shape[-2] > features.shape[-1]:
        features, others = (x.transpose(-1, -2) @ x for x in (features, others))
        flat, flat_others = features.flatten(-2), others.flatten(-2)
        products, own, theirs = flat @ flat_others.transpose(-1, -2), flat.norm(dim=-1), flat_others.norm(dim=-1)
    else:
        products = torch.einsum("...vtc,...wsc->...vwts", features, others).square().sum(dim=(-1, -2))
        own, theirs = ((x @ x.transpose(-1, -2)).flatten(-2).norm(dim=-1) for x in (features, others))
    return products / (own[..., :, None] * theirs[..., None, :]).clamp_min(1e-12)


def choose_diversity_site(site: Site, sites: Mapping[str, Site]) -> Site:
    """Return where pictures of a unit are told apart: at its own site, or at the last block before one without a grid.

    The head has one position, whose Gram matrix says no more than which classes are seen.
    """
    own = site.source
    if own.grid is not None:
        return own
    order = list(sites)
    until = order.index(own.name) if own.name in sites else len(order)
    blocks = [sites[name] for name in order[:until] if sites[name].kind == "block" and sites[name].grid is not None]
    return blocks[-1] if blocks else own


class Gate:
    """The share of the diversity weight that the variants of each unit bear, `vigour`, 1 at first.

    It falls by at most `1 / (over * steps)` a step while the weakest variant is below its floor, and comes back while
    it is above, in proportion to how far, full pace from a tenth of the floor on. It does not jump, so that what
    float32 rounds off stays small.

    Args:
        groups: of variants.
        pace: the most that it moves in a step.
        device: of the images.
    """

    def __init__(self, groups: int, pace: float, device: torch.device) -> None:
        self.pace = pace
        self.vigour = torch.ones(groups, device=device)

    @torch.no_grad()
    def follow(self, weakest: Tensor, floor: Tensor, steps: int) -> None:
        """Move, for as many steps as have gone by.

        Args:
            weakest: `[G]`, activation of the weakest variant of each unit; NaN counts as below.
            floor: `[G]`, what it has to reach.
            steps: since the last time.
        """
        above = (weakest - floor) / (MARGIN * floor.abs()).clamp_min(1e-12)
        move = above.nan_to_num(-1.0, 1.0, -1.0).clamp(-1, 1)
        self.vigour = (self.vigour + move * self.pace * steps).clamp(0, 1)


class Diversity:
    """What pushes the variants of each unit of a chunk apart.

    The first variant of a unit is left alone: it is the picture that the unit has without the others, and what they are
    measured by. Each other one has `weight * vigour * |activation|` times the mean cosine of its Gram matrix with those
    of all others added to its loss, so that the weight means the same for units of any scale.

    Args:
        settings: the group `diversity` of a recipe.
        backbone: on the device of the images.
        chunk: whole groups of variants, one after the other.
        spread: `[U]`, standard deviation of the site's values on each starting image; the least scale.
        steps: of the run.
        tokens: those that count.
        photos: the search that says what the best photo of each unit is; None: the first variant is the measure.

    Attributes:
        site: where pictures are told apart.
        gate: how much of the weight each unit bears.
        best: `[G]`, activation on each unit's best photo, with `photos`.
    """

    def __init__(
        self,
        settings: DiversitySettings,
        backbone: Backbone,
        chunk: Chunk,
        spread: Tensor,
        steps: int,
        tokens: Any,
        photos: SearchedUnits | None,
    ) -> None:
        self.settings, self.backbone, self.chunk = settings, backbone, chunk
        self.count, self.steps, self.tokens = chunk.variants, steps, tokens
        self.site = choose_diversity_site(chunk.site, backbone.sites)
        self.spread = spread.clamp_min(1e-12)
        self.gate = Gate(len(chunk) // self.count, 1 / max(1.0, settings.over * steps), spread.device)
        self.best = None
        if photos is not None:
            self.best = torch.tensor([photos.best(unit) for unit in chunk.units[:: self.count]], device=spread.device)
        self.others = (torch.arange(len(chunk), device=spread.device) % self.count > 0).float()

    def watch(self, images: Tensor, step: int) -> None:
        """Ask the gate, now and then, once the pictures have formed.

        Args:
            images: `[U, 3, H, W]` as they are before this step.
            step: from 0.
        """
        if step < self.settings.ask * self.steps or step % EVERY:
            return
        firing = measure_firing(self.backbone, images.detach(), self.chunk.site, self.chunk.units, self.tokens)
        weakest, floor = self.weakest(firing.mean)
        self.gate.follow(weakest, floor, EVERY)

    def weakest(self, activations: Tensor) -> tuple[Tensor, Tensor]:
        """Return the activation of the weakest variant of each unit, and what it has to reach, `[G]` each.

        Args:
            activations: `[U]`, on the clean images.
        """
        grouped = activations.view(-1, self.count)
        plain = grouped[:, 0]
        floor = plain - (1 - self.settings.keep) * plain.abs() if self.best is None else self.best
        return grouped[:, 1:].amin(dim=1), floor

    def term(self, activations: Tensor, found: Mapping[str, Tensor]) -> Tensor:
        """Return what is added to the loss of each image, `[U]`, weighted.

        Args:
            activations: `[U]`, of this step.
            found: by site, `[U * A, T, C]`, the copies of an image together.
        """
        tokens = "patches" if self.site.grid is not None else "all"
        features = select_tokens(found[self.site.name], self.site, tokens).float()
        groups, copies = len(self.chunk) // self.count, len(features) // len(self.chunk)
        features = features.view(groups, self.count, copies, *features.shape[1:]).transpose(1, 2)
        features = features - features.detach().mean(dim=(1, 2, 3), keepdim=True)
        cosines = gram_cosines(features, features.detach()).mean(dim=1)  # [G, V, V]
        away = 1 - torch.eye(self.count, device=cosines.device)
        alike = (cosines * away).sum(dim=-1).flatten() / (self.count - 1)
        scale = torch.maximum(activations.detach().abs().nan_to_num(), self.spread)
        vigour = self.gate.vigour.repeat_interleave(self.count)
        return self.settings.weight * self.others * vigour * scale * alike

    def describe(self, activations: Tensor) -> list[dict[str, Any]]:
        """Return what records say, a row an image: which variant, and whether the weakest one is above its floor.

        Args:
            activations: `[U]`, on the finished images.
        """
        weakest, floor = self.weakest(activations)
        return [
            {
                "variant": place % self.count,
                "diversity": float(self.gate.vigour[place // self.count]),
                "gate": bool(weakest[place // self.count] > floor[place // self.count]),
                "gate_floor": float(floor[place // self.count]),
            }
            for place in range(len(self.chunk))
        ]

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint needs."""
        return {"vigour": self.gate.vigour.cpu(), "spread": self.spread.cpu()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        device = self.spread.device
        self.gate.vigour, self.spread = state["vigour"].to(device), state["spread"].to(device)


def photos_of(
    settings: DiversitySettings, backbone: Backbone, units: Sequence[Unit], tokens: Any
) -> SearchedUnits | None:
    """Return the search of a recipe's gate, which has to have watched all units and read the same tokens.

    Raises:
        VitvisError: it has not.
    """
    if settings.search is None:
        return None
    photos = SearchedUnits(settings.search, backbone, "diversity.search")
    if photos.tokens != tokens:
        raise VitvisError(
            f"diversity.search={settings.search}: read tokens={photos.tokens}, and objective.tokens={tokens}"
        )
    for unit in units:
        photos.best(unit)
    return photos
