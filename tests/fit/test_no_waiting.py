"""A step asks nothing of the device: no number comes back to the host between log steps."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback
from torch.utils._python_dispatch import TorchDispatchMode

from vitvis.backbones import parse_units
from vitvis.fit import ActivationMaximization, plan_chunks
from vitvis.fit.datamodule import Step
from vitvis.fit.timing import bare_steps

from .test_contract import RECIPES

WAITING = ("_local_scalar_dense", "item", "nonzero", "is_nonzero", "equal", "unique", "_linalg_check_errors")

#: Copies, which the host waits for where they lead from a device to it.
COPIES = ("_to_copy", "copy_")


def _goes_to_the_host(args: Any, kwargs: dict[str, Any]) -> bool:
    """Say whether a copy's result lies on the CPU and its source elsewhere."""
    tensors = [item for item in args if isinstance(item, torch.Tensor)]
    target = kwargs.get("device") or tensors[0].device
    return torch.device(target).type == "cpu" and tensors[-1].device.type != "cpu"


class Watch(TorchDispatchMode):
    """Counts operations whose result the host has to wait for (on a GPU each of them stops the queue)."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in WAITING or name in COPIES and _goes_to_the_host(args, kwargs or {}):
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
        torch.linalg.inv(torch.eye(2))
    assert watch.seen == ["_local_scalar_dense", "nonzero", "_linalg_check_errors"]
    elsewhere = torch.empty(3, device="meta")
    assert _goes_to_the_host((elsewhere,), {"device": "cpu"}) and _goes_to_the_host((torch.empty(3), elsewhere), {})
    assert not _goes_to_the_host((elsewhere, torch.empty(3)), {}) and not _goes_to_the_host((elsewhere,), {})


def move(part: Any, device: str) -> None:
    """Move the tensors that an object holds."""
    for name, value in vars(part).items():
        if isinstance(value, torch.Tensor):
            setattr(part, name, value.to(device))


@pytest.mark.parametrize("name", RECIPES)
def test_a_step_runs_on_a_device_that_gives_no_number_back(backbone, name) -> None:
    """The `meta` device knows shapes alone: a copy to the host, or a tensor left on the CPU, is an error there.

    The chunk is begun on the CPU, where what it begins with is measured.
    """
    recipe = RECIPES[name] | {"steps": 4}
    recipe |= {"augment": {key: value for key, value in recipe.get("augment", {}).items() if key != "kornia"}}
    module = ActivationMaximization(copy.deepcopy(backbone), recipe)
    (chunk,) = plan_chunks(parse_units("blocks.1.mlp:0-3", backbone.sites), [0, 1], backbone.sites, 8)
    steps = bare_steps(module, chunk)
    next(steps)  # looks for the short way
    module.to("meta")
    module.image.grad = None
    adam = module.configure_optimizers()
    for part in [module.objective, module.plateau, *vars(module.levers).values(), *module.reader.shortcuts.values()]:
        if hasattr(part, "__dict__"):
            move(part, "meta")
    module.ascent.failed = module.ascent.failed.to("meta")
    for step in (1, 2):
        outputs = module.training_step(Step(chunk, step, False), step)
        outputs["loss"].backward()
        module.on_before_optimizer_step(adam)
        module.set_rate(adam)
        adam.step()
        module.step_done()
    assert module.image.grad.device.type == outputs["curves"]["activation"].device.type == "meta"
    assert module.images().shape == (8, 3, 32, 32)
