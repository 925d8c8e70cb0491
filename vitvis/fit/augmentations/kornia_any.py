"""Any random augmentation of kornia, by name, drawn from our own keys."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import kornia.augmentation as library
import torch
from torch import Generator, Tensor

from vitvis.errors import VitvisError, nearest

from .base import Augmentation, Draw

__all__ = ["KorniaAugmentation"]


class KorniaAugmentation(Augmentation):
    """Draws parameters with kornia's own generators for one copy, replays them on all images.

    Args:
        name: class in `kornia.augmentation`, such as `RandomGaussianBlur`.
        arguments: of its constructor.

    Raises:
        VitvisError: no such class, or arguments it does not take.
    """

    on_host = ("batch_prob",)

    def __init__(self, name: str, arguments: Mapping[str, Any]) -> None:
        names = [
            key
            for key, value in vars(library).items()
            if inspect.isclass(value) and issubclass(value, library.AugmentationBase2D) and key.startswith("Random")
        ]
        if name not in names:
            raise VitvisError(f"augment.kornia.{name}: kornia has no such 2d augmentation{nearest(name, names)}")
        self.name = f"kornia.{name}"
        try:
            for chance in ("p", "p_batch"):  # kornia takes any number
                if not 0 <= float(dict(arguments).get(chance, 1)) <= 1:
                    raise ValueError(f"{chance}={arguments[chance]}, and a chance is 0 to 1")
            self.module = getattr(library, name)(**arguments)
            self.draw((64, 64), 0.0, Generator())  # arguments out of their range are told only now
        except Exception as error:  # kornia's parts object in many ways
            raise VitvisError(f"augment.kornia.{name}: {error}") from None

    def draw(self, size: tuple[int, int], progress: float, generator: Generator) -> Draw:
        """Draw kornia's parameters of one image; the global generator is put back as it was."""
        with torch.random.fork_rng(devices=[]):  # kornia's distributions know only the global generator
            # Not `torch.manual_seed`, which seeds every GPU as well.
            torch.default_generator.manual_seed(int(torch.randint(2**62, (), generator=generator)))
            drawn = self.module.forward_parameters(torch.Size((1, self.channels, *size)))
        return {key: value[0] for key, value in drawn.items() if value.ndim and key != "forward_input_shape"}

    def apply(self, copies: Tensor, draws: Draw) -> Tensor:
        """Replay the draws; an augmentation that changes the size is an error."""
        parameters = {
            key: value.expand(*copies.shape[:2], *value.shape[2:]).flatten(0, 1) for key, value in draws.items()
        }
        flat = copies.flatten(0, 1)
        parameters["forward_input_shape"] = torch.tensor(flat.shape)
        changed = self.module(flat, params=parameters)
        if changed.shape != flat.shape:
            raise VitvisError(f"augment.{self.name}: changes the size of images; give it the image's own size")
        return changed.unflatten(0, copies.shape[:2])
