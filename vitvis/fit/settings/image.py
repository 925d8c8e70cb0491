"""How pixels come from the parameter that is optimised: the group `image`."""

from __future__ import annotations

from dataclasses import dataclass

from vitvis.config import limits, setting
from vitvis.errors import VitvisError

__all__ = ["ImageSettings"]


@dataclass
class ImageSettings:
    """How pixels come from the parameter that is optimised."""

    kind: str = setting("fourier")
    """Parameterisation: pixel (the paper's), fourier, or phase (MACO: fixed magnitude); or one you registered."""
    start: str = setting("noise", path="file", words=("noise",))
    """noise (drawn by seed), or a picture file that is resized to the image."""
    std: float = setting(0.01, minimum=0, maximum=limits.WEIGHT)
    """Fourier: standard deviation of the starting coefficients."""
    decay: float = setting(1.4, minimum=0, maximum=10)
    """Fourier, phase: amplitude falls as 1 / frequency ** decay; more is smoother."""
    decay_first: float | None = setting(None, minimum=0, maximum=10)
    """Fourier: decay for units of the first block, which look for finer things; from there it grows in a line to
    image.decay at the last; the same everywhere when null."""
    bands: float = setting(0.0, minimum=0, maximum=1)
    """Fourier: share of the steps over which frequencies come in, coarse ones first; 0: all from the start."""
    canvas: float = setting(1.0, minimum=1, maximum=8)
    """Side of the image that is optimised over that of the model's input; above 1 the copies are crops of it
    (augment.crop), and the picture is all of it, made smaller."""
    decorrelate: bool = setting(True)
    """Fourier, phase: work in colours that are uncorrelated in photos."""
    magnitude: str | None = setting(None, path="folder")
    """Phase: folder of images whose mean spectrum is used; 1 / f ** decay when null."""
    contrast: float = setting(1.0, minimum=0, maximum=limits.WEIGHT)
    """Phase: standard deviation of the image before the sigmoid."""

    def __post_init__(self) -> None:
        if self.magnitude is not None and self.kind in ("pixel", "fourier"):
            raise VitvisError(
                f"image.magnitude={self.magnitude}: means nothing to image.kind={self.kind}, but to phase"
            )
