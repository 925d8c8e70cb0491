"""How many images are optimised together, and what memory that takes: by arithmetic, the same on every machine."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.multiprocessing.reductions import StorageWeakRef

from vitvis.backbones import Site, Tap
from vitvis.backbones.backbone import Backbone
from vitvis.errors import VitvisError
from vitvis.fit.settings import FitSettings
from vitvis.launch.machine import machine_memory

__all__ = ["check_memory", "choose_chunk", "least_bytes", "saved_bytes"]

#: Bytes that a chunk may keep for its backward pass, and images it may hold, on a CPU: more brings no speed there, a
#: killed run loses more, and the default run has to stay below 4 GiB in all.
CPU_BUDGET, CPU_LIMIT = 1.5 * 2**30, 8
#: The same on a GPU; of a GPU with less than twice as much memory, half.
GPU_BUDGET, GPU_LIMIT = 16 * 2**30, 64
#: A step holds copies, their draws and their gradients beside what autograd keeps: float32, three channels, of each.
COPIES_HELD = 3


def saved_bytes(backbone: Backbone, site: Site) -> int:
    """Return the bytes that autograd keeps for the backward pass of one float32 image, weights left out.

    Measured where the backbone is, on the `meta` device too. Nothing is kept meanwhile: that takes the memory of a
    forward pass alone.
    """

    def key(tensor: Tensor) -> int:
        return tensor.untyped_storage()._cdata  # an address: `data_ptr` is 0 for everything on `meta`

    fixed = {key(tensor) for tensor in [*backbone.parameters(), *backbone.buffers()]}
    seen: dict[int, int] = {}
    known: list[StorageWeakRef] = []  # keep addresses from being given to the next tensor, but no numbers

    def count(tensor: Tensor) -> None:
        if key(tensor) not in fixed and key(tensor) not in seen:
            seen[key(tensor)] = tensor.untyped_storage().nbytes()
            known.append(StorageWeakRef(tensor.untyped_storage()))

    images = torch.full(
        (1, backbone.channels, *backbone.image_size), 0.5, device=backbone.mean.device, requires_grad=True
    )
    with saved_tensors_hooks(count, _never), Tap(backbone, [site.source]) as tap:
        tap(images)
    return sum(seen.values())


def _never(packed: object) -> Tensor:
    raise RuntimeError("nothing goes back through what was only counted")


def least_bytes(backbone: Backbone, site: Site) -> int:
    """Return bytes that autograd keeps at least for one image, without running the model.

    What goes into the activation function of each feed-forward layer on the way to a site, known from shapes alone.
    """
    on_the_way = [other for other in backbone.sites.values() if other.kind == "mlp" and other.depth <= site.depth]
    return sum(4 * other.width * (math.prod(other.grid) if other.grid else 1) for other in on_the_way)


def choose_chunk(
    backbone: Backbone, sites: Sequence[Site], settings: FitSettings, device: torch.device, limit: int | None = None
) -> int:
    """Return how many images to optimise together: as many as the budget of a device takes at the deepest site.

    Up to 8 on a CPU, up to 64 on a GPU. A number that is the same on every machine of a kind: shards of records are
    chunks, and the files of two runs are to be the same. `limit` takes the place of the usual one.
    """
    budget, usual = (GPU_BUDGET, GPU_LIMIT) if device.type == "cuda" else (CPU_BUDGET, CPU_LIMIT)
    if device.type == "cuda":
        budget = min(budget, torch.cuda.get_device_properties(device).total_memory / 2)
    site = max(sites, key=lambda item: item.depth)
    each = max(1, saved_bytes(backbone, site)) * settings.copies
    return max(1, min(limit or usual, int(budget // each)))


def check_memory(backbone: Backbone, saved: int, chunk: int, settings: FitSettings, device: torch.device) -> int:
    """Return the bytes that a step needs at least.

    Args:
        backbone: the model.
        saved: bytes that autograd keeps for one copy of an image.
        chunk: images optimised together.
        settings: of the fit.
        device: where it is done.

    Raises:
        VitvisError: the machine, or its GPU, has less.
    """
    rows, columns = backbone.image_size
    copies = chunk * settings.copies * backbone.channels * rows * columns * 4 * COPIES_HELD
    weights = sum(tensor.nbytes for tensor in [*backbone.parameters(), *backbone.buffers()])
    needed = weights + chunk * settings.copies * saved + copies
    limit, where = machine_memory(), "this machine has"
    if device.type == "cuda":
        limit, where = torch.cuda.get_device_properties(device).total_memory, "this GPU has"
    if limit is not None and needed > limit:
        wish = f"chunk={chunk} and copies={settings.copies}" if chunk > 1 else f"copies={settings.copies}"
        raise VitvisError(
            f"{wish}: a step needs about {needed / 2**30:,.1f} GiB of memory, {where} {limit / 2**30:,.1f}; "
            f"choose fewer, or a smaller image_size"
        )
    return needed
