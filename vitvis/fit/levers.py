"""What a recipe may add to the steps of a chunk: easing off, matching, variants, the map of gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from vitvis.backbones import Site

from .alpha import GradientMap
from .diversity import Diversity
from .ease import Ease
from .matching import Album, Matching
from .measure import PEAK_SHARE
from .objective import strongest
from .photos import SearchedUnits

if TYPE_CHECKING:
    from vitvis.backbones.backbone import Backbone

    from .chunks import Chunk
    from .settings import FitSettings

__all__ = ["Levers"]


class Levers:
    """The levers of one chunk; those that a recipe leaves out are None and cost nothing.

    Args:
        settings: of a fit.
        backbone: on the device of the images.
        chunk: whose images move.
        spread: `[U]`, standard deviation of the site's values on each starting image.
        size: rows and columns of the images that are optimised.
        album: the photos to match with, where the recipe has `match`.
        photos: what the gate of variants asks, where the recipe names a search for it.

    Attributes:
        ease: how much of warp and noise each unit bears (`augment.ease`).
        matching: the photos that images are matched with (`match`).
        diversity: what pushes variants of a unit apart (`variants`).
        gradients: what reached the pixels (`alpha`).
    """

    def __init__(
        self,
        settings: FitSettings,
        backbone: Backbone,
        chunk: Chunk,
        spread: Tensor,
        size: tuple[int, int],
        album: Album | None,
        photos: SearchedUnits | None = None,
    ) -> None:
        ease, device = settings.augment.ease, spread.device
        self.ease = None if ease is None else Ease(ease, spread, settings.steps)
        self.matching = None if album is None else Matching(backbone, chunk.site, chunk.units, album, device)
        self.diversity = None
        if chunk.variants > 1:
            recipe, steps, tokens = settings.diversity, settings.steps, settings.objective.tokens
            self.diversity = Diversity(recipe, backbone, chunk, spread, steps, tokens, photos)
        self.gradients = None if settings.alpha is None else GradientMap((len(chunk), *size), device)

    @property
    def strength(self) -> Tensor | None:
        """Return how much of their ranges augmentations may use on each image, `[U]`; None: all."""
        return None if self.ease is None else self.ease.strength

    @property
    def sites(self) -> list[Site]:
        """Return what has to be tapped beside the units' own site."""
        matched = [] if self.matching is None else self.matching.sites
        return matched if self.diversity is None else [*matched, self.diversity.site]

    def watch(self, images: Tensor, step: int) -> None:
        """See the images `[U, 3, H, W]` of a step (from 0), before its copies are made."""
        if self.diversity is not None:
            self.diversity.watch(images, step)
        if self.gradients is not None:
            self.gradients.watch(images)

    def terms(self, values: Tensor, activation: Tensor, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Follow a step, and return what it adds to the loss of each image, by name, `[U]`, weighted.

        Args:
            values: `[U, A, T]`, each image's own unit on its copies.
            activation: `[U]`, what is maximised of it.
            found: by site of `sites`, `[U * A, T, C]`.
        """
        if self.ease is not None:
            self.ease.follow(strongest(values.detach(), PEAK_SHARE).mean(dim=1))
        terms = {} if self.matching is None else {"match": self.matching.weight * self.matching.distance(found)}
        if self.diversity is not None:
            terms["diversity"] = self.diversity.term(activation, found)
        return terms

    def keep(self, rows: Tensor) -> None:
        """Go on with some of the images alone, of which there are no variants."""
        for part in (self.ease, self.matching):
            if part is not None:
                part.keep(rows)
        if self.gradients is not None:
            self.gradients.total = self.gradients.total[rows]

    def describe(self, activations: Tensor) -> list[dict[str, Any]]:
        """Return what records say of it, one row an image of the chunk.

        Args:
            activations: `[U]`, on the finished images.
        """
        rows: list[dict[str, Any]] = [{} for _ in activations]
        if self.matching is not None:
            rows = [row | {"photos_used": photos} for row, photos in zip(rows, self.matching.photos, strict=True)]
        if self.diversity is not None:
            rows = [row | more for row, more in zip(rows, self.diversity.describe(activations), strict=True)]
        return rows

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint needs."""
        names = ("ease", "diversity", "gradients")
        return {name: part.state_dict() for name in names if (part := getattr(self, name)) is not None}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        for name, kept in state.items():
            getattr(self, name).load_state_dict(kept)
