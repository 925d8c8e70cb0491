"""Settings of `python -m vitvis.fit`.

Everything in the groups `image`, `augment`, `regularize`, `objective`, `optim` and in `steps`, `copies` is the recipe:
it decides what an image looks like, and its hash names it. The rest says what is made, where, and on what.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from vitvis.config.core import setting
from vitvis.config.values import is_null, split_units
from vitvis.launch.settings import LoggerSettings, TrainerSettings

__all__ = [
    "AffineSettings",
    "AugmentSettings",
    "ColorSettings",
    "FitSettings",
    "ImageSettings",
    "NoiseSettings",
    "ObjectiveSettings",
    "OptimSettings",
    "RegularizeSettings",
    "ShiftSettings",
    "parse_size",
]


def parse_size(value: Any) -> Any:
    """Read an image size: `224` (square), `192x256` or `[192, 256]` (rows, columns)."""
    if isinstance(value, str) and re.fullmatch(r"[\s\[\](),x\d]+", value):
        numbers = [int(number) for number in re.findall(r"\d+", value)]
        if len(numbers) in (1, 2):
            return numbers[0] if len(numbers) == 1 else numbers
    return None if is_null(value) else value


@dataclass
class ImageSettings:
    """How pixels come from the parameter that is optimised."""

    kind: str = setting("fourier", "parameterisation: pixel (the paper's), fourier, or phase (MACO: fixed magnitude); "
                        "or one you registered")  # fmt: skip
    start: str = setting("noise", "noise (drawn by seed), or a picture file that is resized to the image")
    std: float = setting(0.01, "fourier: standard deviation of the starting coefficients", minimum=0)
    decay: float = setting(
        1.0, "fourier, phase: amplitude falls as 1 / frequency ** decay; more is smoother", minimum=0
    )
    decorrelate: bool = setting(True, "fourier, phase: work in colours that are uncorrelated in photos")
    magnitude: str | None = setting(
        None, "phase: folder of images whose mean spectrum is used; 1 / f ** decay when null"
    )
    contrast: float = setting(1.0, "phase: standard deviation of the image before the sigmoid", minimum=0)


@dataclass
class AffineSettings:
    """Shift, rotate and zoom each copy in one interpolation; what comes in from outside is a reflection."""

    shift: float = setting(8.0, "largest shift in each direction", unit="px", minimum=0)
    rotate: float = setting(5.0, "largest angle either way", unit="degrees", minimum=0)
    zoom: float = setting(1.1, "largest zoom in or out, as a factor", minimum=1)
    fade: float | None = setting(1.0, "share of the steps over which all three shrink to nothing; null: never",
                                 minimum=0, maximum=1)  # fmt: skip
    by_depth: bool = setting(True, "grow all three with the depth of the site, from nothing at the first block: units "
                             "there look at a few pixels, and a shift is noise to them")  # fmt: skip


@dataclass
class ShiftSettings:
    """Cyclic shift by whole pixels (the paper's)."""

    pixels: int = setting(32, "largest shift in each direction", unit="px", minimum=0)
    shared: bool = setting(True, "one shift for all copies of a step, as in the paper")


@dataclass
class ColorSettings:
    """Colour shift `(x - mu) / sigma`, one draw per copy and channel (the paper's)."""

    mean: float = setting(1.0, "mu is uniform in -mean..mean", minimum=0)
    log_std: float = setting(1.0, "log sigma is uniform in -log_std..log_std", minimum=0)


@dataclass
class NoiseSettings:
    """Gaussian noise whose standard deviation moves in a line over the run."""

    start: float = setting(0.05, "standard deviation in the first step, in units of [0, 1]", minimum=0)
    end: float = setting(0.0, "standard deviation after the last step", minimum=0)
    per: str = setting("pixel", "one value a pixel (the paper's text), or a channel of a copy (its released code)",
                       choices=("pixel", "channel"))  # fmt: skip


@dataclass
class AugmentSettings:
    """What each copy of an image goes through, in this order; null switches an entry off."""

    affine: AffineSettings | None = setting(AffineSettings, "shift, rotate and zoom")
    shift: ShiftSettings | None = setting(None, "cyclic shift")
    color: ColorSettings | None = setting(None, "colour shift")
    noise: NoiseSettings | None = setting(NoiseSettings, "gaussian noise")
    kornia: dict[str, Any] = setting({}, "any random 2d augmentation of kornia by class name, with its arguments: "
                                     "augment.kornia.RandomGrayscale.p=0.5")  # fmt: skip
    extra: dict[str, Any] = setting({}, "augmentations you registered, by name, with their arguments")


@dataclass
class RegularizeSettings:
    """Terms added to the loss, each times its weight; 0 leaves a term out."""

    tv: float = setting(0.0, "weight of the paper's total variation, on the augmented copies", minimum=0)
    total_variation: float = setting(0.0, "weight of kornia's total variation (mean absolute difference), on the image",
                                     minimum=0)  # fmt: skip
    l2: float = setting(0.0, "weight of the mean squared distance to grey, on the image", minimum=0)
    extra: dict[str, float] = setting({}, "weights of regularisers you registered, by name")


@dataclass
class ObjectiveSettings:
    """What is maximised."""

    tokens: Any = setting(
        "patches", "positions that count: patches, cls, all, an index, or a box [top,left,bottom,right]"
    )
    share: float = setting(0.1, "strongest share of those tokens that is averaged: 1 all, 0.1 the strongest tenth",
                           minimum=0, maximum=1)  # fmt: skip
    share_end: float | None = setting(1.0, "share at the end, reached in a line over the run; as share when null",
                                      minimum=0, maximum=1)  # fmt: skip
    measure: str = setting("dot", "dot: the activation itself; cosine: over the length of the site's vector",
                           choices=("dot", "cosine"))  # fmt: skip
    pre: float = setting(1.0, "share of the steps that maximise what goes into the activation function of an mlp site, "
                         "which keeps units from staying dead: 0 never, 1 always", minimum=0, maximum=1)  # fmt: skip


@dataclass
class OptimSettings:
    """How the image is moved: Adam on each image for itself."""

    lr: float | None = setting(None, "learning rate; null: that of the parameterisation (pixel 0.1, fourier 0.2, "
                               "phase 0.3)", minimum=0)  # fmt: skip
    betas: list[float] = setting([0.5, 0.99], "Adam's decay rates")
    eps: float = setting(1.0e-7, "Adam's epsilon; smaller, and what float32 rounds off becomes a step: an "
                         "image then depends on the units beside it", minimum=0)  # fmt: skip
    schedule: str = setting("cosine", "of the learning rate over the steps: cosine to 0, or constant",
                            choices=("cosine", "constant"))  # fmt: skip


@dataclass
class FitSettings:
    """Optimise images for units of a backbone."""

    recipe: str | None = setting(None, "a shipped recipe by name (see configs/), laid below everything else")
    model: str = setting("vitvis_vit", "a bundled model or any timm model")
    weights: str = setting("hub", "hub (bundled or downloaded), none (random), or a .safetensors / .pth file")
    image_size: Any = setting(None, "side of the image, or ROWSxCOLUMNS; the model's own when null", unit="px",
                              parser=parse_size)  # fmt: skip
    units: list[str] = setting(["blocks.*.mlp:~4"], "unit addresses SITE:UNITS; SITE may hold * and {0,5}, UNITS is "
                               "3 | 0-7 | 3,17 | * | ~8 (eight drawn by seed); a leading - minimises",
                               parser=split_units)  # fmt: skip
    seeds: list[int] = setting([0], "one image per unit and seed", minimum=0)
    steps: int = setting(60, "optimisation steps an image", unit="steps", minimum=1)
    copies: int = setting(2, "augmented copies of each image in a step", unit="copies", minimum=1)
    chunk: int | None = setting(None, "images optimised together; chosen for the device when null", unit="images",
                                minimum=1)  # fmt: skip
    image: ImageSettings = setting(ImageSettings, "how pixels come from the parameter that is optimised")
    augment: AugmentSettings = setting(AugmentSettings, "what each copy of an image goes through")
    regularize: RegularizeSettings = setting(RegularizeSettings, "terms added to the loss")
    objective: ObjectiveSettings = setting(ObjectiveSettings, "what is maximised")
    optim: OptimSettings = setting(OptimSettings, "how the image is moved")
    trainer: TrainerSettings = setting(TrainerSettings, "where the work is done")
    logger: LoggerSettings = setting(LoggerSettings, "where curves and sheets go, beside the run folder")
    strips: int = setting(0, "moments of each image to keep as a strip in progress/; 0: none", minimum=0)
    out: str | None = setting(None, "the run folder, where a killed run goes on; out/MODEL-HASH when null")
