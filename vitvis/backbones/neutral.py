"""Work as if the caller had set nothing: no autocast, no inference mode, float32, the CPU, random streams untouched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import torch

__all__ = ["neutral", "own_randomness", "without_autocast"]


def without_autocast(kind: str) -> AbstractContextManager[Any]:
    """Switch autocast off on a kind of device, where it is on: the `meta` device has none."""
    on = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    return torch.autocast(kind, enabled=False) if on else nullcontext()


@contextmanager
def neutral() -> Iterator[None]:
    """Load and look into models the same way whatever context the caller is in; what is made there is a plain tensor.

    Autocast would round the numbers that tokens are followed by, inference mode would give weights that no gradient
    passes, and a default of float64 or of another device would build another model.
    """
    dtype = torch.get_default_dtype()
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)


@contextmanager
def own_randomness(seed: int) -> Iterator[None]:
    """Draw from a fixed seed on the CPU, and give the caller's stream back as it was.

    `torch.manual_seed` would set every GPU's stream as well, which nothing here gives back.
    """
    before = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(before)
