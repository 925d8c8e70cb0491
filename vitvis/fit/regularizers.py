"""Regularisers: one number an image, added to the loss with a weight.

A user adds one in five lines:

    from vitvis.fit import regularizer

    @regularizer("saturation")
    def saturation(images):              # [B, 3, H, W] in [0, 1] -> [B]
        return images.std(dim=1).mean(dim=(1, 2))

and weighs it with `regularize.extra.saturation=0.1`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from kornia.losses import total_variation as kornia_total_variation
from torch import Tensor
from torch.autograd.function import once_differentiable

from vitvis.errors import VitvisError
from vitvis.fit.settings import RegularizeSettings

from .registry import Registry

__all__ = [
    "REGULARIZERS",
    "Regularizer",
    "chosen_regularizers",
    "grey_distance",
    "paper_tv",
    "regularizer",
    "total_variation",
    "weighted_penalties",
]

Penalty = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Regularizer:
    """A penalty and what it looks at.

    Attributes:
        penalty: from `[B, 3, H, W]` to `[B]`, each row for itself.
        on: `image` (the clean image in [0, 1]) or `copies` (the augmented copies, averaged over those of an image).
    """

    penalty: Penalty
    on: str = "image"


REGULARIZERS: Registry[Regularizer] = Registry("regulariser")


def regularizer(name: str, on: str = "image") -> Callable[[Penalty], Penalty]:
    """Register a penalty under `name`; see the module's text for an example.

    Args:
        name: what its weight is called in `regularize.extra`.
        on: `image` or `copies`.
    """
    if on not in ("image", "copies"):
        raise ValueError(f"on={on!r}: a regulariser looks at 'image' or at 'copies'")

    def add(penalty: Penalty) -> Penalty:
        REGULARIZERS.register(name)(Regularizer(penalty, on))
        return penalty

    return add


#: The two ends of a difference, as slices of rows and columns: right, down, down-right, down-left.
_FROM, _TO = slice(None, -1), slice(1, None)
_ALL = slice(None)
_DIRECTIONS = (
    ((_ALL, _TO), (_ALL, _FROM)),
    ((_TO, _ALL), (_FROM, _ALL)),
    ((_TO, _TO), (_FROM, _FROM)),
    ((_TO, _FROM), (_FROM, _TO)),
)


class _DifferenceNorms(torch.autograd.Function):
    """Sum over four directions of the L2 norm of differences of neighbours: `[B, 3, H, W]` -> `[B, 3]`.

    The slope is 0 (and not NaN) where an image is flat. Written out because autograd's own way back through eight
    slices takes 2.5 times as long.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor) -> Tensor:
        norms = torch.stack(
            [(images[..., *ahead] - images[..., *behind]).square_().sum(dim=(-2, -1)) for ahead, behind in _DIRECTIONS]
        ).sqrt_()
        ctx.save_for_backward(images, norms)
        return norms.sum(dim=0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        images, norms = ctx.saved_tensors
        scales = torch.where(norms == 0, 0.0, slope / norms)[..., None, None]
        result = torch.zeros_like(images)
        for (ahead, behind), scale in zip(_DIRECTIONS, scales, strict=True):
            step = (images[..., *ahead] - images[..., *behind]).mul_(scale)
            result[..., *ahead] += step
            result[..., *behind] -= step
        return result


@regularizer("tv", on="copies")
def paper_tv(images: Tensor) -> Tensor:
    """Total variation of Ghiasi et al. 2022: mean over channels of the sum of four L2 norms (not squared).

    The norms are those of the horizontal, vertical and two diagonal differences of neighbours; `[B, 3, H, W]` -> `[B]`.
    It grows with the side of the image: U(0, 1) noise of 384 px has about 627.
    """
    norms: Tensor = _DifferenceNorms.apply(images)  # type: ignore[no-untyped-call]
    return norms.mean(dim=1)


@regularizer("total_variation")
def total_variation(images: Tensor) -> Tensor:
    """Kornia's total variation: mean absolute difference of neighbours, over channels; `[B, 3, H, W]` -> `[B]`."""
    return kornia_total_variation(images, reduction="mean").mean(dim=1)


@regularizer("l2")
def grey_distance(images: Tensor) -> Tensor:
    """Mean squared distance to mid grey; `[B, 3, H, W]` -> `[B]`."""
    return (images - 0.5).square().mean(dim=(1, 2, 3))


def chosen_regularizers(settings: RegularizeSettings) -> dict[str, tuple[Regularizer, float]]:
    """Return the terms whose weight is not 0, by name.

    Raises:
        VitvisError: a name in `extra` that nobody registered, or that has a setting of its own.
    """
    own = {"tv": settings.tv, "total_variation": settings.total_variation, "l2": settings.l2}
    for name in settings.extra:
        if name in own:
            raise VitvisError(f"regularize.extra.{name}: is a setting of its own; write regularize.{name}")
    weights = {**own, **settings.extra}
    return {name: (REGULARIZERS[name], float(weight)) for name, weight in weights.items() if weight}


def weighted_penalties(
    chosen: Mapping[str, tuple[Regularizer, float]], images: Tensor, copies: Tensor
) -> dict[str, Tensor]:
    """Return every regulariser times its weight, by name, `[U]` each.

    Args:
        chosen: with their weights.
        images: `[U, C, H, W]` in [0, 1].
        copies: `[U * A, C, H, W]`, the augmented copies of an image together.
    """
    values = {}
    for name, (term, weight) in chosen.items():
        if term.on == "copies":
            values[name] = weight * term.penalty(copies).unflatten(0, (len(images), -1)).mean(dim=1)
        else:
            values[name] = weight * term.penalty(images)
    return values
