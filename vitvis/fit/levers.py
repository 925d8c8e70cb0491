"""What a recipe may add to the steps of a chunk: easing off, matching, the map of gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from vitvis.backbones import Site

from .alpha import GradientMap
from .ease import Ease
from .matching import Album, Matching
from .measure import PEAK_SHARE
from .objective import strongest

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

    Attributes:
        ease: how much of warp and noise each unit bears (`augment.ease`).
        matching: the photos that images are matched with (`match`).
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
    ) -> None:
        ease, device = settings.augment.ease, spread.device
        self.ease = None if ease is None else Ease(ease, spread, settings.steps)
        self.matching = None if album is None else Matching(backbone, chunk.site, chunk.units, album, device)
        self.gradients = None if settings.alpha is None else GradientMap((len(chunk), *size), device)

    @property
    def strength(self) -> Tensor | None:
        """Return how much of their ranges augmentations may use on each image, `[U]`; None: all."""
        return None if self.ease is None else self.ease.strength

    @property
    def sites(self) -> list[Site]:
        """Return what has to be tapped beside the units' own site."""
        return [] if self.matching is None else self.matching.sites

    def watch(self, images: Tensor) -> None:
        """See the images `[U, 3, H, W]` of a step, before its copies are made."""
        if self.gradients is not None:
            self.gradients.watch(images)

    def terms(self, values: Tensor, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Follow a step, and return what it adds to the loss of each image, by name, `[U]`, weighted.

        Args:
            values: `[U, A, T]`, each image's own unit on its copies.
            found: by site of `sites`, `[U * A, T, C]`.
        """
        if self.ease is not None:
            self.ease.follow(strongest(values.detach(), PEAK_SHARE).mean(dim=1))
        return {} if self.matching is None else {"match": self.matching.weight * self.matching.distance(found)}

    def describe(self) -> list[dict[str, Any]] | None:
        """Return what records say of it, one row an image; None where they say nothing."""
        return None if self.matching is None else [{"photos_used": photos} for photos in self.matching.photos]

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint needs."""
        return {name: part.state_dict() for name in ("ease", "gradients") if (part := getattr(self, name)) is not None}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        for name, kept in state.items():
            getattr(self, name).load_state_dict(kept)
