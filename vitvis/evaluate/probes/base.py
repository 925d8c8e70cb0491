"""The one method that a probe has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from vitvis.backbones import Backbone

__all__ = ["Outcome", "Probe"]


@dataclass(frozen=True)
class Outcome:
    """Logits of one variant.

    Attributes:
        variant: Numbers in `Probe.names` `[rows]`.
        logits: What the model's classifier gave, `[rows, outputs]`, or `[rows, positions, outputs]`.
    """

    variant: Tensor
    logits: Tensor


class Probe(ABC):
    """Asks a model several things about a batch of images."""

    @abstractmethod
    def names(self, backbone: Backbone) -> list[str]:
        """Return the variants this probe measures on a model, in the order of the table."""

    @abstractmethod
    def run(self, backbone: Backbone, images: Tensor, variant: Tensor) -> Iterator[Outcome]:
        """Ask the model.

        Args:
            backbone: Frozen model.
            images: `[rows, 3, H, W]` in [0, 1], as the model's own transform gave them.
            variant: What the data made each row: a number `[rows]`.
        """

    def check(self, backbone: Backbone) -> None:  # noqa: B027
        """Raise VitvisError where a model can't be asked this."""
