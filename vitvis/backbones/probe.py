"""One forward pass that writes down what every submodule received and returned.

The pass runs on a copy of the model on PyTorch's ``meta`` device, where tensors have shapes and no
values: it costs neither time nor memory. Models that cannot run there (some look at values) run for
real, on one small batch.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Call", "Probe", "first_tensor", "probe_elsewhere", "run_probe"]

BATCH = 2  # with one image, "batch of windows" and "one window" look the same


@dataclass
class Call:
    """One call of one submodule during the probe."""

    path: str
    started: int  # times on one clock that ticks at every start and end of a call
    finished: int = -1
    input: tuple[int, ...] | None = None
    output: tuple[int, ...] | None = None
    number: int = 0  # of this submodule's calls
    outputs: tuple[tuple[int, ...] | None, ...] = ()  # of each item, where a tuple or list is returned
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    output_mutated: bool = False  # an in-place operation changed the output later on
    input_mutated: bool = False


@dataclass
class Probe:
    """What one forward pass did.

    Attributes:
        batch: number of images in the probe.
        image_size: rows and columns of the image.
        calls: calls of each submodule, by dotted path, in order of execution.
        output: what the model returned (shape, or None if it was no tensor).
    """

    batch: int
    image_size: tuple[int, int]
    calls: dict[str, list[Call]]
    output: tuple[int, ...] | None

    def first(self, path: str) -> Call | None:
        """The first call of a submodule, or None where it never ran."""
        calls = self.calls.get(path)
        return calls[0] if calls else None


def first_tensor(value: Any) -> Tensor | None:
    """The value itself, or the first tensor of a tuple or list that holds exactly one."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, (tuple, list)):
        tensors = [item for item in value if isinstance(item, Tensor)]
        if len(tensors) == 1:
            return tensors[0]
    return None


def _meta_copy(model: nn.Module) -> nn.Module:
    """Copy a model onto the meta device without copying any weight."""
    memo: dict[int, Any] = {}
    for parameter in model.parameters():
        memo[id(parameter)] = nn.Parameter(torch.empty_like(parameter, device="meta"), requires_grad=False)
    for buffer in model.buffers():
        memo[id(buffer)] = torch.empty_like(buffer, device="meta")
    twin = copy.deepcopy(model, memo).to("meta")
    for module in twin.modules():  # the caller's hooks are about real tensors
        module._forward_hooks.clear()
        module._forward_pre_hooks.clear()
    return twin


def _record(model: nn.Module, images: Tensor) -> Probe:
    calls: dict[str, list[Call]] = {}
    open_calls: dict[str, list[Call]] = {}
    watched: list[tuple[Tensor, int, Call, str]] = []
    handles = []
    clock = 0

    def before(path: str) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            nonlocal clock
            call = Call(path, clock, args=args, kwargs=kwargs)
            clock += 1
            tensor = args[0] if args and isinstance(args[0], Tensor) else None
            if tensor is not None:
                call.input = tuple(tensor.shape)
                watched.append((tensor, tensor._version, call, "input_mutated"))
            open_calls.setdefault(path, []).append(call)

        return hook

    def after(path: str) -> Any:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            nonlocal clock
            call = open_calls[path].pop()
            call.finished = clock
            clock += 1
            if isinstance(output, (tuple, list)):
                call.outputs = tuple(tuple(item.shape) if isinstance(item, Tensor) else None for item in output)
            call.number = len(calls.get(path, ()))
            tensor = first_tensor(output)
            if tensor is not None:
                call.output = tuple(tensor.shape)
                watched.append((tensor, tensor._version, call, "output_mutated"))
            calls.setdefault(path, []).append(call)

        return hook

    try:
        for path, module in model.named_modules():
            handles.append(module.register_forward_pre_hook(before(path), with_kwargs=True))
            handles.append(module.register_forward_hook(after(path)))
        with torch.no_grad():
            output = first_tensor(model(images))
    finally:
        for handle in handles:
            handle.remove()
    for tensor, version, call, attribute in watched:
        if tensor._version != version:
            setattr(call, attribute, True)
    size = (int(images.shape[-2]), int(images.shape[-1]))
    return Probe(int(images.shape[0]), size, calls, None if output is None else tuple(output.shape))


def probe_elsewhere(model: nn.Module, image_size: tuple[int, int], channels: int = 3) -> Probe | None:
    """Record a forward pass at an image size that scales rows and columns differently; None where there is none.

    What changes with it belongs to the image and what does not to the model, which no shape tells alone.
    """
    try:
        size = (2 * image_size[0], 3 * image_size[1])
        return _record(_meta_copy(model), torch.zeros(BATCH, channels, *size, device="meta"))
    except Exception:  # noqa: BLE001  # a model built for one size
        return None


def run_probe(model: nn.Module, image_size: tuple[int, int], channels: int = 3) -> Probe:
    """Record one forward pass of two black images.

    Args:
        model: takes images `[B, C, H, W]`; left in the mode it is in.
        image_size: H and W.
        channels: C.

    Returns:
        What every submodule received and returned.
    """
    try:
        return _record(_meta_copy(model), torch.zeros(BATCH, channels, *image_size, device="meta"))
    except Exception:  # noqa: BLE001  # any model that is not meta-proof; a real fault shows again below
        parameter = next(model.parameters(), torch.zeros(()))
        return _record(model, torch.zeros(BATCH, channels, *image_size, device=parameter.device, dtype=parameter.dtype))
