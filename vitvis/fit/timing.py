"""Real steps without a Trainer: for `--dry-run`, for the choice of a precision, for the benchmark."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import nullcontext

import torch

from vitvis.fit.chunks import Chunk
from vitvis.fit.datamodule import Steps
from vitvis.fit.module import ActivationMaximization

__all__ = ["bare_steps", "step_seconds", "synchronize"]


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def bare_steps(
    module: ActivationMaximization, chunk: Chunk, precision: str = "32-true", steps: int | None = None
) -> Iterator[int]:
    """Do the steps of a chunk as the Trainer does, without one; yields the number of steps that are done.

    Args:
        module: its chunk and image become those of `chunk`; on the device where the work is to be done.
        chunk: what is made.
        precision: `32-true` or `bf16-mixed`.
        steps: how many; those of the recipe when None.
    """
    kind = module.device.type
    optimizer = module.configure_optimizers()
    count = module.settings.steps if steps is None else steps
    for batch in Steps([chunk], count, over=module.is_over):
        module.on_train_batch_start(batch, batch.step)
        mixed = torch.autocast(kind, dtype=torch.bfloat16) if precision == "bf16-mixed" else nullcontext()
        with mixed:
            loss = module.training_step(batch, batch.step)["loss"]
        optimizer.zero_grad()
        loss.backward()
        module.on_before_optimizer_step(optimizer)
        module.set_rate(optimizer)
        optimizer.step()
        module.step_done()
        yield batch.step + 1


def step_seconds(module: ActivationMaximization, chunk: Chunk, precision: str, steps: int = 2) -> float:
    """Return the seconds of one step of a chunk: the fastest of some, after one that warms up."""
    best, began = float("inf"), 0.0
    for done in bare_steps(module, chunk, precision, steps + 1):
        synchronize(module.device)
        now = time.perf_counter()
        if done > 1:
            best = min(best, now - began)
        began = now
    return best
