"""Passes in bfloat16 as fast as they can be: attention by plain products on a CPU, and weights that are cast once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import nn

__all__ = ["Bfloat16", "CastWeights", "fitting_attention", "fused_attentions"]

#: Layers whose weights autocast brings to bfloat16, wherever they are used in the way of their class.
_FORWARD = (nn.Linear.forward, nn.Conv2d.forward)


class Bfloat16:
    """A frozen model, ready for passes under autocast; in float32 nothing is changed.

    Args:
        model: Its weights neither change nor ask for gradients; they may move to another device.
    """

    def __init__(self, model: nn.Module) -> None:
        self._fused, self._weights = fused_attentions(model), CastWeights(model)

    @contextmanager
    def use(self, kind: str) -> Iterator[None]:
        """Run passes within the block that way, on a kind of device."""
        with ExitStack() as stack:
            stack.enter_context(fitting_attention(self._fused))
            stack.enter_context(self._weights.use(kind))
            yield


def fused_attentions(model: nn.Module) -> list[nn.Module]:
    """Return timm's attention layers that use torch's fused kernel."""
    return [module for module in model.modules() if getattr(module, "fused_attn", None) is True]


@contextmanager
def fitting_attention(layers: Sequence[nn.Module]) -> Iterator[None]:
    """Keep layers from using the fused kernel where a step runs in bfloat16 on a CPU.

    There it takes 5 times as long, forward and backward, as two matrix products and a softmax at 65 tokens, and 2.3
    times as long at 197 (docs/performance.md). In float32 and on a GPU it is as fast or faster, and nothing is changed.
    """
    slow = layers if torch.is_autocast_enabled("cpu") else ()
    for layer in slow:
        layer.fused_attn = False  # type: ignore[assignment]
    try:
        yield
    finally:
        for layer in slow:
            layer.fused_attn = True  # type: ignore[assignment]


class CastWeights:
    """The weights of a frozen model's linear layers and convolutions as autocast uses them.

    Autocast keeps its own casts only of weights that ask for gradients. Of a frozen model it casts all of them in each
    step, which is a tenth of a step of few and small images. Numbers are those of autocast to the last bit.

    Args:
        model: Its weights neither change nor ask for gradients; they may move to another device.
    """

    def __init__(self, model: nn.Module) -> None:
        self._layers = [
            module
            for module in model.modules()
            if type(module).forward in _FORWARD and not hasattr(module, "parametrizations")
        ]
        self._cast: dict[nn.Parameter, nn.Parameter] = {}

    @contextmanager
    def use(self, kind: str) -> Iterator[None]:
        """Let layers use them within the block, where it runs under autocast in bfloat16.

        Args:
            kind: Of the device that the block runs on.
        """
        mixed = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
        if not mixed or torch.get_autocast_dtype(kind) != torch.bfloat16:
            yield
            return
        before = [(layer, name, layer._parameters[name]) for layer in self._layers for name in layer._parameters]
        try:
            for layer, name, weight in before:
                if weight is not None and weight.dtype == torch.float32 and not weight.requires_grad:
                    layer._parameters[name] = self._of(weight)
            yield
        finally:
            for layer, name, weight in before:
                layer._parameters[name] = weight

    def _of(self, weight: nn.Parameter) -> nn.Parameter:
        known = self._cast.get(weight)
        if known is None or known.device != weight.device:
            known = self._cast[weight] = nn.Parameter(weight.detach().to(torch.bfloat16), requires_grad=False)
        return known
