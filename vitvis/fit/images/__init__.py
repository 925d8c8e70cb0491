"""Image parameterisations: from the parameter that is optimised to pixels."""

from torch import Tensor
from torch.nn import functional

from vitvis.fit.settings import ImageSettings

from .base import PARAMETERIZATIONS, Parameterization
from .fourier import FourierImage
from .phase import PhaseImage
from .pixel import PixelImage

__all__ = ["PARAMETERIZATIONS", "FourierImage", "Parameterization", "PhaseImage", "PixelImage", "make_image", "shrink"]


def make_image(size: tuple[int, int], settings: ImageSettings, channels: int = 3) -> Parameterization:
    """Return the parameterisation that a recipe asks for, for images of `size` (rows, columns) and C channels."""
    more = {} if channels == 3 else {"channels": channels}  # one that a user has registered may know of RGB only
    return PARAMETERIZATIONS[settings.kind](size, settings, **more)


def shrink(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring images `[U, 3, H, W]` of a canvas to the model's rows and columns: bicubic, antialiased."""
    if tuple(images.shape[-2:]) == tuple(size):
        return images
    return functional.interpolate(images, size=tuple(size), mode="bicubic", antialias=True, align_corners=False)
