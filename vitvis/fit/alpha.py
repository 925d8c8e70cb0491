"""Where a picture matters: the gradient that reached each pixel, summed over the steps, as a fourth channel.

Fel et al.: Unlocking Feature Visualization for Deep Networks with MAgnitude Constrained Optimization, 2023, section 4.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["GradientMap", "opacity"]


def opacity(total: Tensor, percentile: float) -> Tensor:
    """Return sums `[U, H, W]` in 0..1, `[U, 1, H, W]`: 1 from their own percentile (0..100) on, 0 where nothing is."""
    most = total.flatten(1).quantile(percentile / 100, dim=1).clamp_min(1e-30)
    return (total / most[:, None, None]).clamp(0, 1)[:, None]


class GradientMap:
    """Adds up `|d loss / d image|` over steps and channels, for each image of a chunk.

    Args:
        shape: U, rows and columns.
        device: of the images.

    Attributes:
        total: float32 `[U, H, W]`.
    """

    def __init__(self, shape: tuple[int, int, int], device: torch.device) -> None:
        self.total = torch.zeros(shape, device=device)

    def watch(self, images: Tensor) -> None:
        """Add the gradient that the next backward pass brings to images `[U, 3, H, W]`; NaN counts as nothing."""
        images.register_hook(self._add)

    def _add(self, gradient: Tensor) -> None:
        self.total += gradient.detach().abs().sum(dim=1).nan_to_num(0.0, 0.0, 0.0)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint needs."""
        return {"total": self.total.cpu().clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.total = state["total"].to(self.total.device).clone()
