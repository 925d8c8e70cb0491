"""The images of a chunk on their way up: what Adam remembers of them, who has left the batch and who has failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .roster import Roster

__all__ = ["Ascent"]


class Ascent:
    """Goes along with a parameter `[U, ...]` that Adam moves, an image a row; some may leave before the others.

    Fewer images, or those of the next chunk, are a parameter of their own, which `begin`, `leave` and `load` return: a
    graph of the step before that somebody still holds knows the old one's size.

    Attributes:
        failed: bool `[U]`, the images in the batch whose gradient or activation was NaN or infinite in some step.
        roster: which images of the chunk are in the batch, and what the others left as.
    """

    def __init__(self) -> None:
        self.failed = torch.zeros(0, dtype=torch.bool)
        self.roster = Roster()
        self._adam: torch.optim.Adam | None = None
        self._previous: Tensor | None = None

    def begin(self, start: Tensor) -> nn.Parameter:
        """Take up other images; what is known of those before is forgotten."""
        self.failed = torch.zeros(len(start), dtype=torch.bool, device=start.device)
        self.roster = Roster()
        return self._follow(start, {})

    def optimizer(self, image: nn.Parameter, **arguments: Any) -> torch.optim.Adam:
        """Return a new Adam of these arguments, which moves this parameter and those that come after it."""
        self._adam = torch.optim.Adam([image], **arguments)
        return self._adam

    def stop_failed(self, image: nn.Parameter) -> None:
        """Stop images whose gradient is NaN or infinite, without asking the device whether there are any."""
        if image.grad is not None:
            self.failed |= ~image.grad.flatten(1).isfinite().all(dim=1)
            image.grad.masked_fill_(_beside(self.failed, image), 0.0)

    def remember(self, image: nn.Parameter) -> None:
        """Remember where the images are, before a step that `scale` is to shorten."""
        self._previous = image.detach().clone()

    @torch.no_grad()
    def scale(self, image: nn.Parameter, factor: Tensor) -> None:
        """Shorten the step since `remember` to a share of it, `[U]`, 0..1: Adam's step is in proportion to its rate."""
        if self._previous is not None:
            image.copy_(torch.lerp(self._previous, image, _beside(factor, image)))

    def leave(self, image: nn.Parameter, staying: Tensor, others: Mapping[str, Tensor]) -> nn.Parameter:
        """Let all images but some leave the batch.

        Args:
            image: the parameter.
            staying: int64, rows of the batch that stay.
            others: `[U, ...]` by name, what the roster is to know of those that leave beside `image` and `failed`.
        """
        self.roster.leave(staying, {"image": image, "failed": self.failed, **others})
        self.failed = self.failed[staying]
        moments = self._moments(image).items()
        return self._follow(
            image.data[staying], {name: value if name == "step" else value[staying] for name, value in moments}
        )

    def state(self, image: nn.Parameter) -> dict[str, Any]:
        """Return what `load` goes on from, on the CPU."""
        return {
            "image": image.detach().cpu().clone(),
            "optimizer": {name: value.detach().cpu().clone() for name, value in self._moments(image).items()},
            "failed": self.failed.cpu().clone(),
            "roster": self.roster.state_dict(),
        }

    def load(self, state: Mapping[str, Any], device: torch.device) -> nn.Parameter:
        """Go on from a state."""
        self.roster.load_state_dict(state["roster"], device)
        self.failed = state["failed"].to(device)
        moments = state["optimizer"].items()
        return self._follow(
            state["image"].to(device, torch.float32),
            {name: value if name == "step" else value.to(device) for name, value in moments},
        )

    def _moments(self, image: nn.Parameter) -> dict[str, Tensor]:
        """Return what Adam remembers of the images in the batch; nothing before the first step."""
        return {} if self._adam is None else dict(self._adam.state.get(image, {}))

    def _follow(self, images: Tensor, moments: Mapping[str, Tensor]) -> nn.Parameter:
        """Return a new parameter of these images, and let Adam move it in the old one's place."""
        image = nn.Parameter(images.detach().contiguous())
        if self._adam is not None:
            self._adam.state.clear()
            self._adam.param_groups[0]["params"] = [image]
            if moments:
                self._adam.state[image] = {name: value.contiguous() for name, value in moments.items()}
        return image


def _beside(values: Tensor, images: Tensor) -> Tensor:
    """Return one value an image, `[U]`, in a shape that broadcasts over `[U, ...]`."""
    return values.view(-1, *[1] * (images.ndim - 1))
