"""What each copy of an image goes through: the group `augment`, an entry each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vitvis.config import limits, setting
from vitvis.errors import VitvisError

__all__ = [
    "AffineSettings",
    "AugmentSettings",
    "ColorSettings",
    "CropSettings",
    "EaseSettings",
    "NoiseSettings",
    "ShiftSettings",
]


@dataclass
class AffineSettings:
    """Shift, rotate and zoom each copy in one interpolation; what comes in from outside is a reflection."""

    shift: float = setting(8.0, unit="px", minimum=0, maximum=limits.PIXELS)
    """Largest shift in each direction."""
    rotate: float = setting(5.0, unit="degrees", minimum=0, maximum=360)
    """Largest angle either way."""
    zoom: float = setting(1.1, minimum=1, maximum=100)
    """Largest zoom in or out, as a factor."""
    fade: float | None = setting(None, minimum=0, maximum=1)
    """Share of the steps over which all three shrink to nothing; null: never."""
    by_depth: bool = setting(True)
    """Grow all three with the depth of the site: units of the first block look at a few pixels, and a large shift is
    noise to them."""
    least: float = setting(0.5, minimum=0, maximum=1)
    """Share of the three that is never undercut, with by_depth: without any, pictures lock to the patch grid."""


@dataclass
class CropSettings:
    """Take a box of the image for each copy, and bring it to the model's size without aliasing."""

    smallest: float = setting(0.4, minimum=0.05, maximum=1)
    """Smallest side of a box, as a share of the image's."""
    largest: float = setting(1.0, minimum=0.05, maximum=1)
    """Largest side of a box, as a share of the image's."""
    spread: float = setting(0.15, minimum=0, maximum=1)
    """Standard deviation of the boxes' middles about that of the image, as a share of its side; boxes stay inside."""
    by_depth: bool = setting(True)
    """Boxes are all of the image for units of the first block, and shrink with depth."""

    def __post_init__(self) -> None:
        if self.smallest > self.largest:
            raise VitvisError(f"augment.crop.smallest={self.smallest}: is above augment.crop.largest={self.largest}")


@dataclass
class ShiftSettings:
    """Cyclic shift by whole pixels (the paper's)."""

    pixels: int = setting(32, unit="px", minimum=0, maximum=limits.PIXELS)
    """Largest shift in each direction."""
    shared: bool = setting(True)
    """One shift for all copies of a step, as in the paper."""


@dataclass
class ColorSettings:
    """Colour shift `(x - mu) / sigma`, one draw per copy and channel (the paper's)."""

    mean: float = setting(1.0, minimum=0, maximum=100)
    """Mu is uniform in -mean..mean."""
    log_std: float = setting(1.0, minimum=0, maximum=10)
    """Log sigma is uniform in -log_std..log_std."""


@dataclass
class NoiseSettings:
    """Gaussian noise whose standard deviation moves in a line over the run."""

    start: float = setting(0.1, minimum=0, maximum=100)
    """Standard deviation in the first step, in units of [0, 1]."""
    end: float = setting(0.02, minimum=0, maximum=100)
    """Standard deviation after the last step."""
    per: str = setting("pixel", choices=("pixel", "channel"))
    """One value a pixel (the paper's text), or a channel of a copy (its released code)."""


@dataclass
class EaseSettings:
    """Crops, warp and noise grow milder for an image whose unit sleeps, and come back once it is awake."""

    mild: float = setting(0.25, minimum=0, maximum=1)
    """Share of their ranges that is left for a unit that sleeps on."""
    over: float = setting(0.3, minimum=0, maximum=1)
    """Share of the steps over which they fall that far, or come back."""
    asleep: float = setting(0.0, minimum=-1000, maximum=1000)
    """A unit sleeps whose strongest tenth of tokens reads this or less on the copies, in standard deviations of its
    site's values on the starting image."""
    awake: float = setting(1.0, minimum=-1000, maximum=1000)
    """One that reads this or more is wide awake; between the two it moves slower."""

    def __post_init__(self) -> None:
        if self.asleep >= self.awake:
            raise VitvisError(f"augment.ease.asleep={self.asleep}: has to be below augment.ease.awake={self.awake}")


@dataclass
class AugmentSettings:
    """What each copy of an image goes through, in this order; null switches an entry off."""

    crop: CropSettings | None = setting(None)
    """Boxes of the image."""
    affine: AffineSettings | None = setting(AffineSettings)
    """Shift, rotate and zoom."""
    shift: ShiftSettings | None = setting(None)
    """Cyclic shift."""
    color: ColorSettings | None = setting(None)
    """Colour shift."""
    noise: NoiseSettings | None = setting(NoiseSettings)
    """Gaussian noise."""
    ease: EaseSettings | None = setting(EaseSettings)
    """How crops, warp and noise ease off while a unit sleeps."""
    kornia: dict[str, Any] = setting({})
    """Any random 2d augmentation of kornia by class name, with its arguments: augment.kornia.RandomGrayscale.p=0.5."""
    extra: dict[str, Any] = setting({})
    """Augmentations you registered, by name, with their arguments."""
