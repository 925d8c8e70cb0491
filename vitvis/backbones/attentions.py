"""Recognise attention layers by their projections, and say where queries, keys and values are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["Part", "attention_parts", "head_count", "output_projection"]

Channels = tuple[int, int] | Tensor | None


@dataclass(frozen=True)
class Part:
    """Where q, k or v is.

    Attributes:
        child: submodule of the attention whose output holds it; "" for the attention itself, by its input and `linear`.
        channels: which channels of that output.
        width: how many.
        linear: see `TapPoint.linear`.
    """

    child: str
    channels: Channels
    width: int
    linear: tuple[str, str | None, int, int] | None = None


_SPLIT = (
    ("q_proj", "k_proj", "v_proj"),
    ("q", "k", "v"),
    ("query", "key", "value"),
    ("to_q", "to_k", "to_v"),
    ("wq", "wk", "wv"),
)
# other names of a fused projection; it has to hold three equal parts
_FUSED = ("to_qkv", "qkv_proj", "Wqkv", "in_proj", "c_attn", "query_key_value")


def _out(layer: object) -> int | None:
    """Output channels of a projection: a linear layer, a convolution, or either wrapped with its norm."""
    if not isinstance(layer, nn.Module):
        return None
    weight = getattr(layer, "weight", None)
    if isinstance(weight, Tensor) and weight.ndim in (2, 4):
        return int(weight.shape[0])
    sizes = [size for size in (_out(child) for child in layer.children()) if size is not None]
    return sizes[-1] if sizes else None


def head_count(attention: nn.Module) -> int | None:
    """Number of heads, where the layer says so."""
    for name in ("num_heads", "heads", "n_heads", "num_attention_heads"):
        value = getattr(attention, name, None)
        if isinstance(value, int):
            return value
    return None


def output_projection(attention: nn.Module) -> str | None:
    """Name of the child that mixes the heads, or None."""
    for name in ("proj", "out_proj", "o_proj", "to_out"):
        if _out(getattr(attention, name, None)):
            return name
    return None


def _per_head(heads: int, sizes: tuple[int, int, int]) -> dict[str, Tensor]:
    """Channels of q, k and v where the fused projection holds `[head][q | k | v]`."""
    index = torch.arange(heads * sum(sizes)).reshape(heads, sum(sizes))
    parts = index.split(list(sizes), dim=1)
    return {name: part.flatten() for name, part in zip("qkv", parts, strict=True)}


def _fused(attention: nn.Module, total: int) -> dict[str, tuple[Channels, int]] | None:
    """Channels of q, k and v in the output of a fused projection."""
    heads = head_count(attention)
    key, value = getattr(attention, "key_dim", None), getattr(attention, "val_dim", None)
    if heads and isinstance(key, int) and isinstance(value, int) and heads * (2 * key + value) == total:
        by_head = _per_head(heads, (key, key, value))  # LeViT, TinyViT, EfficientFormer
        return {name: (index, index.numel()) for name, index in by_head.items()}
    key, value = getattr(attention, "qk_dim", None), getattr(attention, "pdim", None)
    if isinstance(key, int) and isinstance(value, int) and 2 * key + value == total:  # SHViT: one head of some channels
        starts = (0, key, 2 * key)
        return {name: ((i, i + n), n) for name, i, n in zip("qkv", starts, (key, key, value), strict=True)}
    if total % 3:
        return None
    width = total // 3
    if heads and width % heads == 0 and getattr(attention, "head_first", False):
        by_head = _per_head(heads, (width // heads,) * 3)  # CoAtNet, MaxViT
        return {name: (index, width) for name, index in by_head.items()}
    return {name: ((i * width, (i + 1) * width), width) for i, name in enumerate("qkv")}


def attention_parts(attention: nn.Module, ran: Callable[[str], bool]) -> dict[str, Part]:
    """Find q, k and v of an attention layer.

    Args:
        attention: any module.
        ran: says whether the child of that name was called in a forward pass (some weights are applied without).

    Returns:
        The parts found, by `q`, `k`, `v`; empty where the module is no attention layer known by its projections.
    """
    if isinstance(attention, nn.MultiheadAttention):  # one weight, applied by hand
        if attention.in_proj_weight is None:
            return {}
        width, bias = attention.embed_dim, None if attention.in_proj_bias is None else "in_proj_bias"
        return {
            name: Part("", None, width, ("in_proj_weight", bias, i * width, (i + 1) * width))
            for i, name in enumerate("qkv")
        }
    qkv = getattr(attention, "qkv", None)
    total = _out(qkv)
    if isinstance(qkv, nn.Module) and total:
        parts = _fused(attention, total)
        if parts is None:
            return {}
        biases = {
            name: f"{name}_bias" if getattr(attention, f"{name}_bias", None) is not None else None for name in "qkv"
        }
        if not ran("qkv") or any(biases.values()):  # BEiT, EVA, Swin v2: weights and three biases applied by hand
            slices = {name: value[0] for name, value in parts.items()}
            if not isinstance(qkv, nn.Linear) or not all(isinstance(piece, tuple) for piece in slices.values()):
                return {}
            return {
                name: Part("", None, width, ("qkv.weight", biases[name], piece[0], piece[1]))
                for name, (piece, width) in parts.items()
                if isinstance(piece, tuple)
            }
        return {name: Part("qkv", channels, width) for name, (channels, width) in parts.items()}
    for name in _FUSED:
        layer = getattr(attention, name, None)
        if isinstance(layer, nn.Linear) and ran(name) and layer.out_features == 3 * layer.in_features:
            width = layer.in_features
            return {letter: Part(name, (i * width, (i + 1) * width), width) for i, letter in enumerate("qkv")}
    found: dict[str, Part] = {}
    for names in _SPLIT:
        widths = [_out(getattr(attention, name, None)) for name in names]
        if all(widths) and all(ran(name) for name in names):
            return {letter: Part(name, None, int(w or 0)) for letter, name, w in zip("qkv", names, widths, strict=True)}
    for name, letters in (("q", "q"), ("kv", "kv"), ("qk", "qk"), ("v", "v")):
        size = _out(getattr(attention, name, None))
        if size and ran(name) and size % len(letters) == 0:
            width = size // len(letters)
            for i, letter in enumerate(letters):
                found.setdefault(letter, Part(name, (i * width, (i + 1) * width), width))
    return found if len(found) == 3 else {}
