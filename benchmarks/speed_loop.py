"""Arm (a) of the speed benchmark: a plain loop that does what the code of Ghiasi et al. 2022 does, and no more.

One unit at a time, 8 copies, the whole model for every step, float32, parameters left as timm makes them (they ask for
gradients, which pile up unused). Their augmentations, their loss, their optimiser. It shares no code with vitvis: it is
the other side of the comparison.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

LR, BETAS, STEPS, COPIES, SHIFT = 0.1, (0.5, 0.99), 400, 8, 32
TV_WEIGHT = 0.0005  # v = 1, on a loss that is an eighth of the activation


@dataclass
class Target:
    """What the loop optimises.

    Attributes:
        module: whose output holds the unit, `[B, T, C]` or `[B, H, W, C]`.
        channel: of the unit.
        prefix: tokens that are left out (CLS).
    """

    module: nn.Module
    channel: int
    prefix: int


def total_variation(x: Tensor) -> Tensor:
    """Sum of four L2 norms of differences, mean over copies and channels; `[B, 3, H, W]` -> scalar."""
    pairs = (
        (x[:, :, 1:, :], x[:, :, :-1, :]),
        (x[:, :, :, 1:], x[:, :, :, :-1]),
        (x[:, :, 1:, 1:], x[:, :, :-1, :-1]),
        (x[:, :, 1:, :-1], x[:, :, :-1, 1:]),
    )
    return sum(torch.linalg.vector_norm(a - b, dim=(2, 3)).mean() for a, b in pairs)  # type: ignore[return-value]


def augment(image: Tensor, step: int, steps: int, copies: int = COPIES) -> Tensor:
    """Shift, copy, change colours, add noise: `[1, 3, H, W]` -> `[copies, 3, H, W]`."""
    rows, columns = (int(torch.randint(-SHIFT, SHIFT + 1, ())) for _ in range(2))
    x = torch.roll(image, (rows, columns), dims=(2, 3)).repeat(copies, 1, 1, 1)
    shape = (copies, 3, 1, 1)
    mean = (torch.rand(shape, device=image.device) - 0.5) * 2
    std = ((torch.rand(shape, device=image.device) - 0.5) * 2).exp()
    noise = torch.randn(shape, device=image.device) * 0.5 * (1 - step / steps)
    return (x - mean) / std + noise


def plain_loop(
    model: nn.Module,
    target: Target,
    size: tuple[int, int],
    mean: Tensor,
    std: Tensor,
    *,
    steps: int = STEPS,
    copies: int = COPIES,
    seed: int = 0,
    stop: int | None = None,
) -> Iterator[Tensor]:
    """Optimise one image; yields it after every step, `[1, 3, H, W]` in [0, 1].

    Args:
        model: takes normalised images; in eval mode, with parameters that ask for gradients.
        target: the unit.
        size: rows and columns.
        mean: of the normalisation, `[1, 3, 1, 1]`.
        std: of the normalisation.
        steps: of the schedule.
        copies: a step.
        seed: of everything random.
        stop: end after so many steps (for timing).
    """
    torch.manual_seed(seed)
    device = mean.device
    image = torch.rand(1, 3, *size).to(device).requires_grad_(True)
    optimizer = torch.optim.Adam([image], lr=LR, betas=BETAS)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda done: (1 + math.cos(math.pi * done / steps)) / 2)
    kept: dict[str, Tensor] = {}
    handle = target.module.register_forward_hook(lambda module, args, output: kept.update(value=output))
    try:
        for step in range(steps if stop is None else stop):
            x = augment(image, step, steps, copies)
            model((x - mean) / std)
            activation = kept["value"].flatten(1, -2)[:, target.prefix :, target.channel].mean()
            loss = TV_WEIGHT * total_variation(x) - activation / 8
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                image.clamp_(0, 1)
            yield image.detach()
    finally:
        handle.remove()
