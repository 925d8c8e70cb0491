"""A step asks nothing of the device: no number comes back to the host between log steps."""

from __future__ import annotations

import pytest
import torch
from pytorch_lightning import Callback
from torch.utils._python_dispatch import TorchDispatchMode

from .test_contract import RECIPES

WAITING = ("_local_scalar_dense", "item", "nonzero", "is_nonzero", "equal", "unique")


class Watch(TorchDispatchMode):
    """Counts operations whose result the host has to wait for (on a GPU each of them stops the queue)."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in WAITING:
            self.seen.append(name)
        return func(*args, **(kwargs or {}))


class Steps(Callback):
    """Watches everything between the start and the end of a step but the optimiser, whose step count is the host's."""

    def __init__(self) -> None:
        self.watch = Watch()
        self.steps = 0

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        if pl_module.step == 0:
            return  # looks for the short way, once a chunk
        self.watch.__enter__()

    def on_before_optimizer_step(self, trainer, pl_module, optimizer) -> None:
        if pl_module.step:
            self.watch.__exit__(None, None, None)
            self.steps += 1


@pytest.mark.parametrize("name", RECIPES)
def test_no_step_waits_for_the_device(fit, name) -> None:
    recipe = RECIPES[name] | {"steps": 5}
    augment = {
        key: value for key, value in recipe.get("augment", {}).items() if key != "kornia"
    }  # asks the host itself
    steps = Steps()
    fit("blocks.1.mlp:0-3", recipe | {"augment": augment}, callbacks=[steps], log_every_n_steps=100)
    assert steps.steps == 4
    assert steps.watch.seen == []


def test_the_watch_sees_what_it_is_for() -> None:
    with Watch() as watch:
        torch.ones(3).sum().item()
        torch.ones(3).nonzero()
    assert watch.seen == ["_local_scalar_dense", "nonzero"]
