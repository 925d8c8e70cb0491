"""How many images fit on a device at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from vitvis.backbones import Site, Tap
from vitvis.backbones.backbone import Backbone
from vitvis.config.fit import FitSettings

__all__ = ["choose_chunk", "saved_bytes"]

#: Bytes that a chunk may keep for its backward pass on a CPU; the default run has to stay below 4 GiB in all.
CPU_BUDGET = 1.5 * 2**30
CPU_LIMIT, GPU_LIMIT = 8, 64
GPU_SHARE = 0.5


def saved_bytes(backbone: Backbone, site: Site, device: torch.device) -> int:
    """Return the bytes that autograd keeps for the backward pass of one float32 image, weights left out."""
    fixed = {tensor.untyped_storage().data_ptr() for tensor in [*backbone.parameters(), *backbone.buffers()]}
    seen: dict[int, int] = {}

    def count(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in fixed:
            seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    images = torch.full((1, 3, *backbone.image_size), 0.5, device=device, requires_grad=True)
    with saved_tensors_hooks(count, lambda tensor: tensor), Tap(backbone, [site]) as tap:
        kept = tap(images)  # noqa: F841  # keeps the graph, and with it every address, alive until all are counted
    return sum(seen.values())


def choose_chunk(backbone: Backbone, sites: Sequence[Site], settings: FitSettings, device: torch.device) -> int:
    """Return how many images to optimise together: as many as fit the device at the deepest of the sites.

    Up to 8 on a CPU, where more brings no speed and a killed run loses more, up to 64 on a GPU, where half of its
    memory may be used (not of what is free now: ranks have to cut the same chunks).
    """
    site = max(sites, key=lambda item: item.depth)
    each = max(1, saved_bytes(backbone, site, device)) * settings.copies
    if device.type == "cuda":
        budget, limit = torch.cuda.get_device_properties(device).total_memory * GPU_SHARE, GPU_LIMIT
    else:
        budget, limit = CPU_BUDGET, CPU_LIMIT
    return max(1, min(limit, int(budget // each)))
