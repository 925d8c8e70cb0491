"""Augmentations: random changes of the copies of an image, one draw for all images."""

from .affine import Affine
from .base import AUGMENTATIONS, Augmentation, Draw, augmentation
from .kornia_any import KorniaAugmentation
from .paper import ColorShift, CyclicShift, GaussianNoise
from .pipeline import Augmentations, make_augmentations

__all__ = [
    "AUGMENTATIONS",
    "Affine",
    "Augmentation",
    "Augmentations",
    "ColorShift",
    "CyclicShift",
    "Draw",
    "GaussianNoise",
    "KorniaAugmentation",
    "augmentation",
    "make_augmentations",
]
