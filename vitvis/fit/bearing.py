"""What a unit bears: the recipe of a chunk, another for class units than for hidden ones, by the kind of model."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from vitvis.backbones import Site
from vitvis.fit.settings import FitSettings

__all__ = ["Bearing", "bearing_of", "decay_for"]

_ATTENTION = ("q", "k", "v", "attn")
#: Side in px of the images that the decays of classes were tuned on.
_SIDE = 64


@dataclass(frozen=True)
class Bearing:
    """The recipe as one chunk gets it.

    Attributes:
        settings: of the fit, with the groups `image` and `augment` of this chunk.
        rate: factor of the learning rate.
        changes: what differs from the recipe, for records: `image.decay=1.5`; None where nothing does.
    """

    settings: FitSettings
    rate: float = 1.0
    changes: tuple[str, ...] | None = None


def bearing_of(settings: FitSettings, site: Site, kinds: Iterable[str], size: tuple[int, int]) -> Bearing:
    """Return the recipe for a site's units: as it is for hidden ones, changed by `classes` for those of the head.

    Args:
        settings: of the fit.
        site: of the units.
        kinds: of all sites of the model, which tell whether it has attention.
        size: rows and columns of the model's images.
    """
    if settings.classes is None or site.kind != "head":
        return Bearing(settings)
    attentive = any(kind in _ATTENTION for kind in kinds)
    own = settings.classes.attention if attentive else settings.classes.convolution
    image = replace(settings.image, decay=decay_for(settings.image.decay + own.decay, size))
    affine, noise = settings.augment.affine, settings.augment.noise
    changes = [] if image.kind == "pixel" else [f"image.decay={image.decay:g}"]
    if affine is not None:
        affine = replace(affine, rotate=affine.rotate * own.warp, zoom=affine.zoom**own.warp)
        changes += [f"augment.affine.rotate={affine.rotate:g}", f"augment.affine.zoom={affine.zoom:.4g}"]
    if noise is not None:
        noise = replace(noise, start=noise.start * own.noise, end=noise.end * own.noise_end)
        changes += [f"augment.noise.start={noise.start:g}", f"augment.noise.end={noise.end:g}"]
    changes.append(f"optim.lr*={own.rate:g}")
    augment = replace(settings.augment, affine=affine, noise=noise)
    return Bearing(replace(settings, image=image, augment=augment), own.rate, tuple(changes))


def decay_for(decay: float, size: tuple[int, int]) -> float:
    """Return the decay that makes the finest details of larger images as faint as `decay` makes those of 64 px.

    `1 / f ** decay` falls below the `1 / f` of photos by `f ** (decay - 1)`: at the highest frequency, half of the
    shorter side, by `32 ** (decay - 1)` for 64 px. Smaller images get the decay as it is.
    """
    return 1 + (decay - 1) * math.log(_SIDE / 2) / math.log(max(_SIDE, min(size)) / 2)
