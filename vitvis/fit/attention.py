"""Which attention kernel a step uses, where the usual choice is a slow one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

__all__ = ["fitting_attention", "fused_attentions"]


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
