"""Hand gradients back in the memory layout that torch handles.

In eval mode, torch's batch norm on the CPU tells layouts apart by strides, and those of a single image can read as two
at once: what `flatten(2).transpose(1, 2)` hands back counts as channels-last, the norm's input as contiguous, and the
gradient that comes out belongs to other channels (torch 2.14; two images are right). So a gradient gets the layout of
the tensor it belongs to, at every site that is tapped and after every batch norm.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

__all__ = ["guard_norms", "keep_gradient_layout"]


def keep_gradient_layout(tensor: Tensor) -> Tensor:
    """Let the gradient of a tensor arrive in the tensor's own memory format; returns the tensor itself.

    The values stay as they are. A tensor without a graph is left alone, and compiled code lays out by itself.
    """
    if not tensor.requires_grad or torch.compiler.is_compiling():
        return tensor
    last = tensor.ndim == 4 and not tensor.is_contiguous() and tensor.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if last else torch.contiguous_format
    strides = torch.empty(tensor.shape, device="meta", memory_format=layout).stride()

    def lay_out(gradient: Tensor) -> Tensor | None:
        # `contiguous()` would pass strides of axes of length 1, which are what torch stumbles over
        return None if gradient.stride() == strides else gradient.clone(memory_format=layout)

    tensor.register_hook(lay_out)
    return tensor


def _after_norm(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
    if isinstance(output, Tensor):
        keep_gradient_layout(output)


def guard_norms(model: nn.Module) -> None:
    """Keep the gradient's layout after every batch norm and instance norm of a model."""
    for module in model.modules():
        if isinstance(module, _NormBase) and _after_norm not in module._forward_hooks.values():
            module.register_forward_hook(_after_norm)
