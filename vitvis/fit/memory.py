"""How many images are optimised together: as many as fit, and no more than pay."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from vitvis.backbones import Site, Tap
from vitvis.backbones.backbone import Backbone
from vitvis.fit.chunks import Chunk
from vitvis.fit.remembered import recall, remember, speed_key
from vitvis.fit.settings import FitSettings
from vitvis.fit.timing import step_seconds

__all__ = ["choose_chunk", "measure_chunk", "saved_bytes"]

#: Bytes that a chunk may keep for its backward pass on a CPU; the default run has to stay below 4 GiB in all.
CPU_BUDGET = 1.5 * 2**30
CPU_LIMIT, GPU_LIMIT = 8, 64
#: With measuring a GPU may take more at once, where that is faster.
GPU_LIMIT_MEASURED = 256
GPU_SHARE = 0.5
#: Measuring may take this share of what the run is estimated to take.
MEASURING = 0.02
#: A chunk that is twice as large has to be faster by this share of the time to be worth its memory.
WORTH = 0.05


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


def choose_chunk(
    backbone: Backbone, sites: Sequence[Site], settings: FitSettings, device: torch.device, limit: int | None = None
) -> int:
    """Return how many images to optimise together: as many as fit the device at the deepest of the sites.

    Up to 8 on a CPU, where more brings no speed and a killed run loses more, up to 64 on a GPU, where half of its
    memory may be used (not of what is free now: ranks have to cut the same chunks). `limit` takes the place of both.
    """
    site = max(sites, key=lambda item: item.depth)
    each = max(1, saved_bytes(backbone, site, device)) * settings.copies
    if device.type == "cuda":
        budget, usual = torch.cuda.get_device_properties(device).total_memory * GPU_SHARE, GPU_LIMIT
    else:
        budget, usual = CPU_BUDGET, CPU_LIMIT
    return max(1, min(limit or usual, int(budget // each)))


def measure_chunk(
    backbone: Backbone, chunks: Sequence[Chunk], settings: FitSettings, device: torch.device, precision: str
) -> int:
    """Return how many images to optimise together, by timing steps of 1, 2, 4, ... images at the deepest site.

    Nothing is measured where the run is too short for it to pay; what is measured is remembered for this machine. Only
    for runs of one process: others have to cut the same chunks, and two processes do not measure the same.

    Args:
        backbone: the model.
        chunks: the work, one site each, as large as can be.
        settings: of the fit.
        device: where it is done.
        precision: `32-true` or `bf16-mixed`.
    """
    sites = [chunk.site for chunk in chunks]
    usual = choose_chunk(backbone, sites, settings, device)
    chunk = max(chunks, key=lambda item: (len(item) >= usual, item.site.depth, len(item)))
    if usual == 1 or len(chunk) < usual:
        return usual
    key = speed_key(backbone.name, chunk.site.name, backbone.image_size, settings.copies, device, precision)
    found = (recall(key) or {}).get("chunk")
    if isinstance(found, int) and found > 0:
        return found
    most = choose_chunk(backbone, sites, settings, device, GPU_LIMIT_MEASURED) if device.type == "cuda" else usual
    work = sum(len(item) for item in chunks) * settings.steps
    chosen, size, best, spent = usual, 1, float("inf"), 0.0
    while size <= min(most, len(chunk)):
        part = Chunk(chunk.site, chunk.units[:size], chunk.seeds[:size])
        began = time.perf_counter()
        each = step_seconds(backbone, part, settings, device, precision) / size
        spent += time.perf_counter() - began
        if each > best * (1 - WORTH):  # twice as many, and hardly faster
            break
        chosen, best = size, each
        if 3 * spent > MEASURING * best * work:  # the next size takes twice as long as this one
            return usual
        size *= 2
    else:
        if len(chunk) < most:  # larger ones may be faster still
            return max(usual, chosen)
    remember(key, {"chunk": chosen})
    return chosen
