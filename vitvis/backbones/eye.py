"""An eye: a frozen backbone, and what it sees in an image at several depths. Judges and maps look with one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from vitvis.backbones.backbone import Backbone
from vitvis.backbones.loading import load_backbone
from vitvis.backbones.site import Site
from vitvis.backbones.tap import Tap
from vitvis.errors import VitvisError

__all__ = ["DEPTHS", "Eye", "Look", "load_eye", "resize"]

#: Depths at which an eye looks: edges and textures count, not only what a whole image shows.
DEPTHS = 4


def resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize images `[B, 3, H, W]` in [0, 1] to rows and columns: antialiased bicubic, kept in [0, 1]."""
    if tuple(images.shape[-2:]) == tuple(size):
        return images
    resized = functional.interpolate(images, size=tuple(size), mode="bicubic", antialias=True, align_corners=False)
    return resized.clamp(0, 1)


@dataclass(frozen=True)
class Look:
    """What an eye saw in B images.

    Attributes:
        features: float32 `[B, D]`: means over the positions at each depth, shallow first, side by side.
        logits: float32 `[B, K]` of its classifier; None where it has none.
    """

    features: Tensor
    logits: Tensor | None


class Eye:
    """A frozen backbone that looks at images.

    Args:
        backbone: The judge.
        depths: At how many depths it looks; fewer where it has fewer blocks.

    Attributes:
        sites: Where it looks, shallow first: the last block, and others at even distances before it.
        widths: Features of each of these, which stand side by side in `Look.features`.
    """

    def __init__(self, backbone: Backbone, depths: int = DEPTHS) -> None:
        self.backbone = backbone
        self.sites = _choose_sites(backbone, depths)
        self.widths = [site.width for site in self.sites]
        head = backbone.sites.get("head") if backbone.num_classes else None
        self.head = head if head is not None and head.width == backbone.num_classes else None

    @property
    def name(self) -> str:
        """Name for files and columns."""
        return "".join(char if char.isalnum() or char in "._-" else "_" for char in self.backbone.name)

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the features: the weights, the size, and where it looks."""
        return {
            "name": self.backbone.name,
            "weights": self.backbone.weights,
            "weights_id": self.backbone.weights_id,
            "image_size": list(self.backbone.image_size),
            "sites": [site.name for site in self.sites],
        }

    @torch.no_grad()
    def look(self, images: Tensor, *, logits: bool = True) -> Look:
        """Look at images `[B, 3, H, W]` in [0, 1] of any size; they are resized to the judge's own.

        Args:
            images: What to look at.
            logits: Whether its classifier is asked, too.
        """
        own = resize(images.float(), self.backbone.image_size)
        head = self.head if logits else None
        wanted = [*self.sites, *([head] if head else [])]

        def visit(site: Site, found: Tensor) -> Tensor:
            kept = found[:, site.prefix_tokens :] if found.shape[1] > site.prefix_tokens else found
            return kept.mean(1).float().clone()

        with Tap(self.backbone, wanted) as tap:
            found: Mapping[str, Tensor] = tap(own, visit)
        features = torch.cat([found[site.name] for site in self.sites], 1)
        return Look(features, None if head is None else found[head.name])


def load_eye(
    name: str, weights: str = "hub", depths: int = DEPTHS, image_size: int | Sequence[int] | None = None
) -> Eye:
    """Load an eye: any backbone, bundled, of timm, or with weights of a file; at its own size, or at another.

    Raises:
        VitvisError: no such model, no weights, or nothing to look with.
    """
    if weights == "none":
        raise VitvisError(f"weights=none: {name} would judge with random weights; give weights=FILE or leave it out")
    return Eye(load_backbone(name, weights, image_size), depths)


def _choose_sites(backbone: Backbone, depths: int) -> list[Site]:
    """Return the last block and others at even distances before it."""
    blocks = [site for site in backbone.sites.values() if site.kind == "block"]
    blocks = blocks or [site for site in backbone.sites.values() if site.kind not in ("head", "module")]
    if not blocks:
        raise VitvisError(f"judge={backbone.name}: has no blocks that it could look with; choose another judge")
    by_depth = list({site.depth: site for site in blocks}.values())
    count = min(depths, len(by_depth))
    places = [round((place + 1) * len(by_depth) / count) - 1 for place in range(count)]
    return [by_depth[place] for place in places]
