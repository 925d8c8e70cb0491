"""From images to their augmented copies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from vitvis.errors import VitvisError
from vitvis.fit.settings import AugmentSettings

from ..keys import keyed_generator
from .affine import Affine
from .base import AUGMENTATIONS, Augmentation, Draw
from .crop import Crop
from .kornia_any import KorniaAugmentation
from .paper import ColorShift, CyclicShift, GaussianNoise

__all__ = ["Augmentations", "make_augmentations"]


class Augmentations:
    """Makes A copies of every image, one draw a copy for all images of a seed.

    Args:
        steps: augmentations in their order.
        copies: A.
    """

    def __init__(self, steps: Sequence[Augmentation], copies: int) -> None:
        self.steps = list(steps)
        self.copies = copies

    def draw(self, seeds: Sequence[int], step: int, progress: float, size: tuple[int, int]) -> list[Draw | None]:
        """Draw for every seed and copy, keyed by (seed, step, copy, name).

        Args:
            seeds: one a image, `U` of them.
            step: index of the step.
            progress: share of the steps that are done, 0..1.
            size: rows and columns.

        Returns:
            One draw an augmentation; each tensor is `[U, A, ...]`, or `[1, A, ...]` where all images have one seed.
            None for an augmentation that is off by now.
        """
        distinct = sorted(set(seeds))
        rows = torch.tensor([distinct.index(seed) for seed in seeds])
        drawn: list[Draw | None] = []
        for augmentation in self.steps:
            if not augmentation.active(progress):
                drawn.append(None)
                continue
            by_seed = [self._draw_copies(augmentation, seed, step, progress, size) for seed in distinct]
            stacked = {name: torch.stack([draw[name] for draw in by_seed]) for name in by_seed[0]}
            if len(distinct) > 1:
                stacked = {name: value[rows] for name, value in stacked.items()}
            drawn.append(stacked)
        return drawn

    def _draw_copies(
        self, augmentation: Augmentation, seed: int, step: int, progress: float, size: tuple[int, int]
    ) -> Draw:
        copies = 1 if augmentation.shared else self.copies
        draws = [
            augmentation.draw(size, progress, keyed_generator(seed, step, copy, augmentation.name))
            for copy in range(copies)
        ]
        stacked = {name: torch.stack([draw[name] for draw in draws]) for name in draws[0]}
        if augmentation.shared:
            return {name: value.expand(self.copies, *value.shape[1:]) for name, value in stacked.items()}
        return stacked

    def apply(self, images: Tensor, draws: Sequence[Draw | None], strength: Tensor | None = None) -> Tensor:
        """Replay draws on images.

        Args:
            images: `[U, 3, H, W]`.
            draws: of `draw`.
            strength: `[U]`, 0..1: how much of their ranges graded augmentations use on each image; all where None.

        Returns:
            Copies `[U * A, 3, H, W]`, those of an image together.
        """
        copies = images[:, None].expand(-1, self.copies, -1, -1, -1)
        for augmentation, draw in zip(self.steps, draws, strict=True):
            if draw is None:
                continue
            moved = {
                name: value if name in augmentation.on_host else _move(value, images.device)
                for name, value in draw.items()
            }
            if strength is not None and augmentation.graded:
                moved["strength"] = strength[:, None, None]
            copies = augmentation.apply(copies, moved)
        return copies.flatten(0, 1)


def _move(value: Tensor, device: torch.device) -> Tensor:
    """Send numbers to a device; from pinned memory, or a GPU would be waited for first."""
    if device.type != "cuda":
        return value.to(device)
    return value.contiguous().pin_memory().to(device, non_blocking=True)


def make_augmentations(
    settings: AugmentSettings,
    copies: int,
    depth: float = 1.0,
    size: tuple[int, int] | None = None,
    channels: int = 3,
) -> Augmentations:
    """Return the augmentations that a recipe lists: geometry, colour, noise, kornia's, then those of the user.

    Args:
        settings: the group `augment` of a recipe.
        copies: A.
        depth: of the site, 0 (first block) to 1 (last).
        size: rows and columns that crops are brought to: the model's; those of the image when None.
        channels: of the images.

    Raises:
        VitvisError: one that takes three channels only, a name that neither kornia has nor anybody registered, or
            arguments that it does not take.
    """
    steps: list[Augmentation] = []
    if settings.crop is not None:
        steps.append(Crop(settings.crop, size, depth))
    if settings.affine is not None:
        steps.append(Affine(settings.affine, depth))
    if settings.shift is not None:
        steps.append(CyclicShift(settings.shift))
    if settings.color is not None:
        steps.append(ColorShift(settings.color))
    if settings.noise is not None:
        steps.append(GaussianNoise(settings.noise))
    steps += [KorniaAugmentation(name, arguments or {}) for name, arguments in settings.kornia.items()]
    steps += [_registered(name, arguments or {}) for name, arguments in settings.extra.items()]
    if channels != 3:
        for step in steps:
            _try_channels(step, channels)
    return Augmentations(steps, copies)


def _try_channels(step: Augmentation, channels: int) -> None:
    """Let an augmentation make its draws for images of so many channels, and find out whether it can replay them."""
    step.channels = channels
    copies = torch.full((1, 1, channels, 64, 64), 0.5)
    try:
        drawn = {name: value[None, None] for name, value in step.draw((64, 64), 0.0, torch.Generator()).items()}
        changed = step.apply(copies, drawn)
        if changed.shape[2] != channels:
            raise ValueError(f"it returns {changed.shape[2]}")
    except Exception as error:  # kornia's parts object in many ways
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        raise VitvisError(f"augment.{step.name}: does not take images of {channels} channels ({reason})") from None


def _registered(name: str, arguments: Mapping[str, Any]) -> Augmentation:
    kind = AUGMENTATIONS[name]
    try:
        return kind(**arguments)
    except (TypeError, ValueError) as error:
        raise VitvisError(f"augment.extra.{name}: {error}") from None
