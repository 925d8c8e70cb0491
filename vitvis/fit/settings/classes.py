"""How the recipe differs for class units: the group `classes`."""

from __future__ import annotations

from dataclasses import dataclass

from vitvis.config import setting

__all__ = ["AttentiveSettings", "ClassesSettings", "ConvolutionalSettings"]


@dataclass
class AttentiveSettings:
    """What class units of a model with attention bear, beside the rest of the recipe."""

    warp: float = setting(2.4, minimum=0, maximum=100)
    """Factor of the affine's largest angle, and of the logarithm of its largest zoom."""
    noise: float = setting(1.0, minimum=0, maximum=100)
    """Factor of the noise in the first step."""
    noise_end: float = setting(2.5, minimum=0, maximum=100)
    """Factor of the noise after the last step."""
    decay: float = setting(0.3, minimum=-10, maximum=10)
    """Added to image.decay. What the sum has above 1 is less for images of more than 64 px, so that the finest details
    are as faint at any size."""
    rate: float = setting(2.0, minimum=0, maximum=100)
    """Factor of the learning rate."""


@dataclass
class ConvolutionalSettings(AttentiveSettings):
    """The same for a model without attention, which loses its classes under noise."""

    warp: float = setting(1.0, minimum=0, maximum=100)
    """Factor of the affine's largest angle, and of the logarithm of its largest zoom."""
    noise: float = setting(0.5, minimum=0, maximum=100)
    """Factor of the noise in the first step."""
    noise_end: float = setting(0.0, minimum=0, maximum=100)
    """Factor of the noise after the last step."""


@dataclass
class ClassesSettings:
    """How the recipe differs for class units, by the model; what it comes to is said in their records (`suited`)."""

    attention: AttentiveSettings = setting(AttentiveSettings)
    """Models with attention."""
    convolution: ConvolutionalSettings = setting(ConvolutionalSettings)
    """All others."""
