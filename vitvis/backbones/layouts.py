"""Token layouts: telling them apart by shape, and bringing them into one canonical form."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from .site import Site, TapPoint

__all__ = ["canonical", "grid_of_tokens", "read_layout"]

Layout = tuple[str, int, tuple[int, int] | None]  # layout, prefix tokens, grid
MAX_PREFIX = 32


def grid_of_tokens(tokens: int, image_size: tuple[int, int]) -> tuple[int, int] | None:
    """Rows and columns of a patch grid with the image's aspect ratio, or None if `tokens` makes no such grid."""
    height, width = image_size
    best: tuple[float, tuple[int, int]] | None = None
    for rows in range(1, tokens + 1):
        if tokens % rows:
            continue
        columns = tokens // rows
        error = abs(math.log(rows / columns * width / height))
        # a stride that does not divide the image rounds one side by less than one patch
        if error <= math.log1p(1 / max(1, min(rows, columns))) * (height != width) + 1e-9:
            if best is None or error < best[0]:
                best = (error, (rows, columns))
    return best[1] if best else None


def _sequence(tokens: int, image_size: tuple[int, int], prefixes: Iterable[int]) -> Layout | None:
    for prefix in prefixes:
        if tokens == prefix and prefix:
            return "NC", 0, None  # the class token alone
        if tokens > prefix:
            grid = grid_of_tokens(tokens - prefix, image_size)
            if grid is not None:
                return "NLC", prefix, grid
    return None


def read_layout(
    shape: tuple[int, ...],
    batch: int,
    image_size: tuple[int, int],
    prefix_tokens: int = 0,
    channel_axis: int | None = None,
) -> Layout | None:
    """Tell the layout of an activation by its shape.

    Args:
        shape: raw shape, images first.
        batch: number of images that went in.
        image_size: rows and columns of the image.
        prefix_tokens: how many the model says it has; tried first, then 0, 1, 2, ...
        channel_axis: axis of the channels of a 4-D tensor where it is known (1 or 3).

    Returns:
        `(layout, prefix tokens, grid)`, or None where the shape fits no layout (windows, token mixing).
    """
    if len(shape) < 2 or shape[0] != batch:
        return None
    if len(shape) == 2:
        return "NC", 0, None
    if len(shape) == 3:
        return _sequence(shape[1], image_size, [prefix_tokens, *range(MAX_PREFIX)])
    if len(shape) != 4:
        return None
    if channel_axis is None:
        aspect = math.log(image_size[0] / image_size[1])
        first = abs(math.log(shape[2] / shape[3]) - aspect)  # NCHW
        last = abs(math.log(shape[1] / shape[2]) - aspect)  # NHWC
        channel_axis = 3 if last < first - 1e-9 else 1
    if channel_axis == 1:
        return "NCHW", 0, (shape[2], shape[3])
    return "NHWC", 0, (shape[1], shape[2])


def canonical(raw: Tensor, site: Site, batch: int) -> Tensor:
    """Bring a raw activation to `[B, T, C]`, prefix tokens first, then row-major patches, windows undone.

    Args:
        raw: what the hook saw.
        site: describes it.
        batch: number of images B that went in.

    Returns:
        `[B, T, C]`, connected to the graph of `raw`; float32, of a model in float64 that.
    """
    point: TapPoint = site.point
    axis = 1 if site.layout == "NCHW" else raw.ndim - 1
    if isinstance(point.channels, Tensor):
        raw = raw.index_select(axis, point.channels.to(raw.device))
    elif point.channels is not None:
        raw = raw.narrow(axis, point.channels[0], point.channels[1] - point.channels[0])
    if site.layout == "NCHW":
        tokens = raw.flatten(2).transpose(1, 2).reshape(batch, -1, raw.shape[1])
    else:
        tokens = raw.reshape(batch, -1, raw.shape[-1])
    if point.order is not None:
        tokens = tokens.index_select(1, point.order.to(raw.device))
    return tokens if tokens.dtype == torch.float64 else tokens.float()
