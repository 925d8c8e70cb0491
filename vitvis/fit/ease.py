"""Ease off while a unit sleeps: how strongly each image's copies are changed, by what its unit bears."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vitvis.fit.settings import EaseSettings

__all__ = ["Ease"]


class Ease:
    """A strength for each image, which falls while its unit sleeps on the copies and comes back once it is awake.

    `vigour` is 1 at first and moves by at most `1 / (over * steps)` a step, in proportion to how far the unit is awake:
    from -1 where its strongest tokens read `asleep` or less to 1 at `awake` or more, in units of the spread of the
    site's values on the starting image. It moves in a line between the two and does not jump, so that what float32
    rounds off, which depends on the batch, stays as small as it was. Every image follows its own unit alone.

    Args:
        settings: the group `augment.ease` of a recipe.
        spread: `[U]`, standard deviation of the site's values, over tokens and units, on each starting image.
        steps: of the run.
    """

    def __init__(self, settings: EaseSettings, spread: Tensor, steps: int) -> None:
        self.settings = settings
        self.spread = spread.clamp_min(1e-12)
        self.rate = 1 / max(1.0, settings.over * steps)
        self.vigour = torch.ones_like(self.spread)

    @property
    def strength(self) -> Tensor:
        """Return the strengths of the next step, `[U]`, from `mild` to 1."""
        return self.settings.mild + (1 - self.settings.mild) * self.vigour

    @torch.no_grad()
    def follow(self, firing: Tensor) -> None:
        """Move after a step.

        Args:
            firing: `[U]`, what each unit's strongest tokens read on its copies. NaN counts as asleep.
        """
        asleep, awake = self.settings.asleep, self.settings.awake
        share = ((firing.float() / self.spread - asleep) / (awake - asleep)).nan_to_num(0.0, 1.0, 0.0).clamp(0, 1)
        self.vigour = (self.vigour + (2 * share - 1) * self.rate).clamp(0, 1)

    def keep(self, rows: Tensor) -> None:
        """Go on with some of the images alone."""
        self.vigour, self.spread = self.vigour[rows], self.spread[rows]

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint needs."""
        return {"vigour": self.vigour.cpu(), "spread": self.spread.cpu()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        device = self.vigour.device
        self.vigour, self.spread = state["vigour"].to(device), state["spread"].to(device)
