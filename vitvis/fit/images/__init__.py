"""Image parameterisations: from the parameter that is optimised to pixels."""

from vitvis.fit.settings import ImageSettings

from .base import PARAMETERIZATIONS, Parameterization
from .fourier import FourierImage
from .phase import PhaseImage
from .pixel import PixelImage

__all__ = ["PARAMETERIZATIONS", "FourierImage", "Parameterization", "PhaseImage", "PixelImage", "make_image"]


def make_image(size: tuple[int, int], settings: ImageSettings) -> Parameterization:
    """Return the parameterisation that a recipe asks for, for images of `size` (rows, columns)."""
    return PARAMETERIZATIONS[settings.kind](size, settings)
