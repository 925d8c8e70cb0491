"""What the findings measure: pure functions on images, gradients, labels and patch maps."""

from .fields import box_share, gradient_energy, square_side
from .labels import chance_of_same, same_label
from .maps import following, pointing, spread
from .pictures import bits_per_pixel, frequencies_used

__all__ = [
    "bits_per_pixel",
    "box_share",
    "chance_of_same",
    "following",
    "frequencies_used",
    "gradient_energy",
    "pointing",
    "same_label",
    "spread",
    "square_side",
]
