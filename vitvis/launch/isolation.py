"""A run inside a caller's process: nothing of the caller's gets into it, and nothing of it stays."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy
import torch

from vitvis.backbones.neutral import neutral
from vitvis.signals import ending_in_order

__all__ = ["isolated", "own_world"]

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def own_world(threads: int = 0) -> Iterator[None]:
    """Compute as a fresh process would, and give the caller's settings back.

    Inside, gradients are on, tensors are ordinary ones, autocast is off and the default type is float32, whatever the
    caller has set. Afterwards random streams (Python's, numpy's, torch's on the CPU and on every GPU), the number of
    threads, the default type and filters of warnings are what they were.

    Args:
        threads: of the CPU, inside; 0 leaves their number alone.
    """
    streams, states, before = random.getstate(), numpy.random.get_state(), torch.get_num_threads()
    cpu, seed = torch.get_rng_state(), torch.initial_seed()
    gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        stack.enter_context(neutral())
        stack.enter_context(torch.enable_grad())
        if threads:
            torch.set_num_threads(threads)
        try:
            yield
        finally:
            if threads:
                torch.set_num_threads(before)
            random.setstate(streams)
            numpy.random.set_state(states)
            torch.set_rng_state(cpu)
            if gpus is not None:
                torch.cuda.set_rng_state_all(gpus)
            elif torch.cuda.is_initialized():  # by us: the caller's streams are those of the seed it has set
                torch.cuda.manual_seed_all(seed)


def isolated(work: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """Let what a command does for its settings, the first argument, do so in a world of its own.

    Signals end it as they end a command, from Python too.
    """

    @wraps(work)
    def inside(settings: Any, *args: P.args, **kwargs: P.kwargs) -> R:
        place = getattr(settings, "trainer", None)
        with ending_in_order(), own_world(0 if place is None else place.threads):
            return work(settings, *args, **kwargs)

    return inside
