"""Undo orders that a model keeps over many blocks: Hiera's mask units, NesT's image blocks, MobileViT's patches."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .probe import Probe

__all__ = ["Unrolled", "unrolled_order"]


@dataclass(frozen=True)
class Unrolled:
    """Where the tokens of a raw activation are.

    Attributes:
        layout: of the raw tensor, as a site's.
        order: `[N]`, index into the raw tokens of an image for each of its N row-major tokens.
        grid: rows and columns.
    """

    layout: str
    order: Tensor
    grid: tuple[int, int]


def unrolled_order(model: nn.Module, path: str, shape: tuple[int, ...], probe: Probe) -> Unrolled | None:
    """Find the order of an activation; None for other models, or where no order needs undoing.

    Args:
        model: a timm model; each family's own inverse is used.
        path: of the submodule that made the activation.
        shape: of the raw activation, which tells the stage.
        probe: what the modules around it received.
    """
    for outer in _around(path):
        unfolding = type(model.get_submodule(outer)).__name__
        if unfolding in ("MobileVitBlock", "MobileVitV2Block"):
            return _unfolded(model, outer, path, shape, probe)
    if type(model).__name__ == "Nest":
        return _nested(path, shape)
    return _mask_units(model, path, shape)


def _around(path: str) -> list[str]:
    """Paths of the modules that hold a module, innermost first."""
    parts = path.split(".")
    return [".".join(parts[:count]) for count in range(len(parts) - 1, 0, -1)]


def _mask_units(model: nn.Module, path: str, shape: tuple[int, ...]) -> Unrolled | None:
    """Hiera's blocks see `[B, N, C]`, the tokens of each mask unit together; timm's and that of transformers."""
    holder: Any = getattr(model, "reroll", None)
    reroll = holder
    if ".stages." in path and not isinstance(holder, nn.Module):
        holder = next((module for module in model.modules() if type(module).__name__ == "HieraEncoder"), None)
        reroll = getattr(holder, "reroll", None)
    elif not path.startswith("blocks."):
        return None
    schedule = getattr(holder, "schedule", None)
    if len(shape) != 3 or not isinstance(schedule, dict) or reroll is None:
        return None
    for stage, (_, size) in schedule.items():
        if len(size) == 2 and size[0] * size[1] == shape[1]:
            order = reroll(torch.arange(shape[1]).float().reshape(1, -1, 1), stage).reshape(-1).long()
            return Unrolled("NLC", order, (int(size[0]), int(size[1])))
    return None


def _nested(path: str, shape: tuple[int, ...]) -> Unrolled | None:
    """NesT's layers see `[B, blocks, tokens of a block, C]`."""
    if ".transformer_encoder" not in path or len(shape) != 4:
        return None
    from timm.models.nest import deblockify

    rows = deblockify(torch.arange(shape[1] * shape[2]).reshape(1, shape[1], shape[2], 1), math.isqrt(shape[2]))
    return Unrolled("NHWC", rows.reshape(-1), (int(rows.shape[1]), int(rows.shape[2])))


def _unfolded(model: nn.Module, outer: str, path: str, shape: tuple[int, ...], probe: Probe) -> Unrolled | None:
    """MobileViT's layers see `[B * P, N, C]`, or `[B, C, P, N]` in version 2: N patches of P pixels each."""
    inner = path.removeprefix(f"{outer}.")
    entry = probe.first(f"{outer}.conv_1x1")
    if not inner.startswith(("transformer", "norm")) or entry is None or entry.output is None:
        return None
    patch_size: Any = model.get_submodule(outer).patch_size
    patch_rows, patch_columns = patch_size
    rows = math.ceil(entry.output[2] / patch_rows) * patch_rows  # the map is scaled to whole patches first
    columns = math.ceil(entry.output[3] / patch_columns) * patch_columns
    patches = rows * columns // (patch_rows * patch_columns)
    first = shape[-2:] == (patch_rows * patch_columns, patches)  # channels first, version 2
    last = len(shape) == 3 and shape[:2] == (probe.batch * patch_rows * patch_columns, patches)
    if not first and not last:
        return None
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    pixel = row % patch_rows * patch_columns + column % patch_columns
    patch = row // patch_rows * (columns // patch_columns) + column // patch_columns
    return Unrolled("NCHW" if first else "NLC", (pixel * patches + patch).reshape(-1), (rows, columns))
