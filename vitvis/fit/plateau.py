"""Stop at the plateau: when each image's learning rate cools down, and when the image may leave the batch."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from vitvis.fit.settings import StopSettings

__all__ = ["Plateau"]

#: Steps from one look for images that are done to the next; a device has to be waited for then.
EVERY = 5


class Plateau:
    """The learning rate of each image: whole while its unit's activation grows, then a cosine down to nothing.

    The activation is smoothed (its half-life is a third of `patience`). An image cools down by at most `1 / (cool *
    steps)` a step: at full pace where the smoothed activation has not grown over `patience` steps, not at all where it
    has grown by `relative` of itself or more, and in a line between the two. There is no jump, so that what float32
    rounds off, which depends on the batch, stays as small as it was. From the last `cool * steps` steps on an image
    cools at full pace whatever its unit does, so that it is done with the last step.

    Args:
        settings: the group `stop` of a recipe.
        count: of images.
        steps: of the run.
        bands: share of the steps before which no image cools: not all frequencies are open before.
        device: of the images.

    Attributes:
        cooled: `[U]`, 0..1; at 1 an image is done.
        ended: float32 `[U]`, the steps it had made by then; `steps` before.
    """

    def __init__(
        self, settings: StopSettings, count: int, steps: int, bands: float = 0.0, device: torch.device | None = None
    ) -> None:
        self.settings, self.steps = settings, steps
        self.first = max(settings.patience, math.ceil(bands * steps))
        self.span = max(1.0, settings.cool * steps)
        self.mix = 0.5 ** (3 / settings.patience)
        self.smooth = torch.zeros(count, device=device)
        self.past = torch.zeros(settings.patience, count, device=device)
        self.cooled = torch.zeros(count, device=device)
        self.ended = torch.full((count,), float(steps), device=device)

    @property
    def factor(self) -> Tensor:
        """Return the factor of each image's learning rate, `[U]`: `(1 + cos(pi * cooled)) / 2`."""
        return (1 + torch.cos(math.pi * self.cooled)) / 2

    @torch.no_grad()
    def follow(self, firing: Tensor, step: int) -> None:
        """Move by a step.

        Args:
            firing: `[U]`, what each unit reads on its copies; NaN counts as no growth.
            step: from 0, one after the other.
        """
        firing, patience = firing.float(), self.settings.patience
        smooth = firing if not step else self.mix * self.smooth + (1 - self.mix) * firing
        place = step % patience
        growth = (smooth - self.past[place]) / smooth.abs().clamp_min(1e-12)
        flat = (1 - growth / self.settings.relative).nan_to_num(1.0, 1.0, 1.0).clamp(0, 1)
        self.past[place] = self.smooth = smooth
        move = flat / self.span if step >= self.first else torch.zeros_like(flat)
        last = 1 - (self.steps - step - 1) / self.span
        cooled = (self.cooled + move).clamp(max(0.0, last), 1)
        self.ended = torch.where((cooled >= 1) & (self.cooled < 1), float(step + 1), self.ended)
        self.cooled = cooled

    def look(self, step: int) -> bool:
        """Say whether it is time to see who is done, before a step."""
        return step % EVERY == 0

    def keep(self, rows: Tensor) -> None:
        """Go on with some of the images alone."""
        self.smooth, self.cooled, self.ended = self.smooth[rows], self.cooled[rows], self.ended[rows]
        self.past = self.past[:, rows].contiguous()

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint needs."""
        return {name: getattr(self, name).cpu().clone() for name in ("smooth", "past", "cooled", "ended")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        for name, value in state.items():
            setattr(self, name, value.to(self.cooled.device).clone())
