"""Where does the token at position (row, column) sit, once a block has cut its input into windows?

Nothing here knows how a model partitions, shifts or pads. The block runs on numbered tokens, with its norms
passing the numbers through, and the numbers are read where its attention takes its input.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["trace_order"]


class _Reached(BaseException):
    """The numbered tokens arrived; derives from BaseException so that no model swallows it."""


def _numbers(shape: tuple[int, ...], layout: str, like: Tensor) -> Tensor:
    """Tokens numbered from 1, image by image, in row-major order, all channels alike."""
    if layout == "NCHW":
        batch, _, rows, columns = shape
        count = torch.arange(1, batch * rows * columns + 1).reshape(batch, 1, rows, columns)
    else:
        count = torch.arange(1, math.prod(shape[:-1]) + 1).reshape(*shape[:-1], 1)
    return count.to(like).expand(shape).contiguous()


def _is_norm(name: str, module: nn.Module) -> bool:
    return (
        "norm" in type(module).__name__.lower() and not any(True for _ in module.children()) or name.startswith("norm")
    )


def _twin(block: nn.Module) -> nn.Module:
    """Copy a block without its weights and without the caller's hooks, which are not to see numbered tokens."""
    shared = {id(tensor): tensor for tensor in (*block.parameters(), *block.buffers())}
    twin = copy.deepcopy(block, shared)
    for module in twin.modules():
        module._forward_hooks.clear()
        module._forward_pre_hooks.clear()
    return twin


def trace_order(
    block: nn.Module,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    layout: str,
    target: nn.Module,
    target_axis: int = -1,
) -> Tensor | None:
    """Find the order in which a submodule of a block receives the block's tokens.

    Args:
        block: receives tokens in a known layout as its first argument.
        args: positional arguments of a recorded call; tensors are used for their shapes only.
        kwargs: keyword arguments of that call.
        layout: of the first argument: `NLC`, `NHWC` or `NCHW`.
        target: submodule whose first input is looked at.
        target_axis: axis of the channels of that input.

    Returns:
        `[N]`: index into the target's flattened tokens of one image, for each of the block's N row-major tokens;
        None where the tokens are not merely reordered and padded.
    """
    path = next(name for name, module in block.named_modules() if module is target)
    block = _twin(block)
    target = block.get_submodule(path)
    like = next(block.parameters(), torch.zeros(()))
    shape = tuple(args[0].shape)
    tokens = _numbers(shape, layout, like)
    batch = shape[0]
    count = tokens.select(1 if layout == "NCHW" else -1, 0).numel() // batch

    def real(value: Any) -> Any:
        return torch.zeros(value.shape, dtype=value.dtype, device=like.device) if isinstance(value, Tensor) else value

    sequence = torch.arange(1, batch * count + 1).to(like).reshape(batch, count, 1)

    def pass_on(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
        """Norms see tokens before or inside the windows: before, they hand out fresh numbers."""
        given = inputs[0]
        if given.shape == tokens.shape:
            return tokens
        if given.ndim == 3 and tuple(given.shape[:2]) == (batch, count):
            return sequence.expand(given.shape)
        return given

    def arrive(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        raise _Reached(inputs[0])

    handles = [target.register_forward_pre_hook(arrive)]
    for name, module in block.named_modules():
        if module is not block and module is not target and _is_norm(name.rpartition(".")[2], module):
            handles.append(module.register_forward_hook(pass_on))
    received = None
    try:
        with torch.no_grad():
            block(tokens, *(real(a) for a in args[1:]), **{k: real(v) for k, v in kwargs.items()})
    except _Reached as reached:
        received = reached.args[0]
    finally:
        for handle in handles:
            handle.remove()
    if received is None:
        return None
    received = received.select(target_axis, 0)
    if received.numel() % batch:
        return None
    return _invert(received.reshape(batch, -1), count)


def _invert(received: Tensor, count: int) -> Tensor | None:
    """Turn numbers (0 = padding) into the position of each; None unless each arrives once, images in order."""
    orders = []
    for image, numbers in enumerate(received):
        index = numbers.round().long() - 1 - image * count
        positions = torch.nonzero((index >= 0) & (index < count)).flatten()
        order = torch.full((count,), -1, dtype=torch.long, device=received.device)
        order[index[positions]] = positions
        exact = torch.equal(numbers, numbers.round())
        if positions.numel() != count or (order < 0).any() or not exact:
            return None
        orders.append(order)
    return orders[0].cpu() if all(torch.equal(orders[0], other) for other in orders) else None
