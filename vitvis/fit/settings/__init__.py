"""Settings of `python -m vitvis.fit`, a file for each group.

Everything in the groups `image`, `augment`, `regularize`, `objective`, `optim`, `classes`, `match`, `diversity`, `stop`
and in `steps`, `copies`, `variants` is the recipe: it decides what an image looks like, and its hash names it. The rest
says what is made, where, and on what.
"""

from .augment import (
    AffineSettings,
    AugmentSettings,
    ColorSettings,
    CropSettings,
    EaseSettings,
    NoiseSettings,
    ShiftSettings,
)
from .classes import AttentiveSettings, ClassesSettings, ConvolutionalSettings
from .fit import FitSettings
from .image import ImageSettings
from .judging import JudgingSettings
from .levers import DiversitySettings, MatchSettings
from .objective import ObjectiveSettings, RegularizeSettings
from .optim import OptimSettings, StopSettings

__all__ = [
    "AffineSettings",
    "AttentiveSettings",
    "AugmentSettings",
    "ClassesSettings",
    "ColorSettings",
    "ConvolutionalSettings",
    "CropSettings",
    "DiversitySettings",
    "EaseSettings",
    "FitSettings",
    "ImageSettings",
    "JudgingSettings",
    "MatchSettings",
    "NoiseSettings",
    "ObjectiveSettings",
    "OptimSettings",
    "RegularizeSettings",
    "ShiftSettings",
    "StopSettings",
]
