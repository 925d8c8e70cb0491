"""Full image, foreground, background: the variants come with the data, the model just looks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from torch import Tensor

from vitvis.evaluate.probes.base import Outcome, Probe
from vitvis.evaluate.variants import VariantPlan

if TYPE_CHECKING:
    from vitvis.backbones import Backbone

__all__ = ["MasksProbe"]


class MasksProbe(Probe):
    """Classifies every variant of the data.

    Args:
        plan: Which variants there are.
    """

    def __init__(self, plan: VariantPlan) -> None:
        self._names = plan.names

    def names(self, backbone: Backbone) -> list[str]:
        """Return the variants of the data."""
        return self._names

    def run(self, backbone: Backbone, images: Tensor, variant: Tensor) -> Iterator[Outcome]:
        """Classify all rows at once."""
        yield Outcome(variant, backbone(images))
