"""How the image is moved, and until when: the groups `optim` and `stop`."""

from __future__ import annotations

from dataclasses import dataclass

from vitvis.config import limits, setting

__all__ = ["OptimSettings", "StopSettings"]


@dataclass
class OptimSettings:
    """How the image is moved: Adam on each image for itself."""

    lr: float | None = setting(None, minimum=0, maximum=limits.WEIGHT)
    """Learning rate; null: that of the parameterisation (pixel 0.1, fourier 0.1, phase 0.3)."""
    betas: list[float] = setting([0.5, 0.99], length=(2, 2), minimum=0, below=1)
    """Adam's decay rates."""
    eps: float = setting(1.0e-7, minimum=0, maximum=1)
    """Adam's epsilon; smaller, and what float32 rounds off becomes a step: an image then depends on the units beside
    it."""
    schedule: str = setting("cosine", choices=("cosine", "constant"))
    """Of the learning rate over the steps: cosine to 0, or constant."""


@dataclass
class StopSettings:
    """Stop each image once its unit's activation grows no more, never later than `steps`.

    The learning rate stays as it is until then and cools down; the image that is done leaves the batch.
    """

    relative: float = setting(0.05, minimum=0, maximum=10)
    """A unit is on its plateau when its smoothed activation has grown by less than this share of itself ..."""
    patience: int = setting(10, unit="steps", minimum=1, maximum=limits.STEPS)
    """... over so many steps; the half-life of the smoothing is a third of that."""
    cool: float = setting(0.2, minimum=0.01, maximum=1)
    """Share of the steps over which the learning rate then falls to nothing, as a cosine."""
