"""What is maximised, and the terms beside it: the groups `objective` and `regularize`."""

from __future__ import annotations

from dataclasses import dataclass

from vitvis.config import limits, setting
from vitvis.config.parsers import parse_tokens

__all__ = ["ObjectiveSettings", "RegularizeSettings"]


@dataclass
class ObjectiveSettings:
    """What is maximised."""

    tokens: str | int | list[int] = setting("patches", parser=parse_tokens)
    """Positions that count: patches, cls, all, the index of a patch (row by row; negative: from the end), or a box
    [top,left,bottom,right] in patches."""
    share: float = setting(0.1, minimum=0, maximum=1)
    """Strongest share of those tokens that is averaged: 1 all, 0.1 the strongest tenth, 0 the strongest alone."""
    share_end: float | None = setting(1.0, minimum=0, maximum=1)
    """Share at the end, reached in a line over the run; as share when null."""
    measure: str = setting("dot", choices=("dot", "cosine"))
    """dot: the activation itself; cosine: over the length of the site's vector."""
    pre: float = setting(1.0, minimum=0, maximum=1)
    """Share of the steps that maximise what goes into the activation function of an mlp site, or into the step that
    makes a dictionary's latents sparse, which keeps units from staying dead: 0 never, 1 always."""


@dataclass
class RegularizeSettings:
    """Terms added to the loss, each times its weight; 0 leaves a term out."""

    tv: float = setting(0.0, minimum=0, maximum=limits.WEIGHT)
    """Weight of the paper's total variation, on the augmented copies."""
    total_variation: float = setting(0.0, minimum=0, maximum=limits.WEIGHT)
    """Weight of kornia's total variation (mean absolute difference), on the image."""
    l2: float = setting(0.0, minimum=0, maximum=limits.WEIGHT)
    """Weight of the mean squared distance to grey, on the image."""
    extra: dict[str, float] = setting({})
    """Weights of regularisers you registered, by name."""
