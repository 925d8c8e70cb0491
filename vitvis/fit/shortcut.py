"""Read only the units that count: the last linear layer before a site need not make all the others.

A step looks at one channel an image, and a `mlp` site of a ViT-B has 3,072. Where the site is the output of a linear
layer (or of an activation function after one), the forward pass stops at the layer's *input* and only the row of the
unit is applied. That saves the layer both ways: half of a step at the first block, a thirtieth at the twelfth.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from vitvis.backbones import Site, Tap, select_tokens
from vitvis.backbones.backbone import Backbone

from .objective import before_activation

__all__ = ["Shortcut", "find_shortcut"]

#: Names that feed-forward layers give to the linear layer before their activation function.
_INTO = ("fc1", "ln1")
#: The largest difference to the full read that still counts as the same, relative to the largest value.
_TOLERANCE = 1e-3


@dataclass
class Shortcut:
    """What stands in for a site: the input of the linear layer before it, and the rows of the units.

    Attributes:
        site: to tap instead.
        rows: `[U, D]`, of the layer's weight, in the direction of each unit.
        bias: `[U]`.
        signs: `[U]`, applied last.
        activation: the function between the layer and the site, or None.
    """

    site: Site
    rows: Tensor
    bias: Tensor
    signs: Tensor
    activation: nn.Module | None

    def keep(self, rows: Tensor) -> Shortcut:
        """Return the short way to the units of some images alone."""
        return replace(self, rows=self.rows[rows], bias=self.bias[rows], signs=self.signs[rows])

    def read(self, inputs: Tensor, tokens: object = "patches") -> Tensor:
        """Return what each image's own unit is on its tokens.

        Args:
            inputs: `[U * A, T, D]` of `site`, the copies of an image together.
            tokens: those that count.

        Returns:
            `[U, A, T']`.
        """
        chosen = select_tokens(inputs, self.site, tokens)  # type: ignore[arg-type]
        chosen = chosen.unflatten(0, (len(self.rows), -1))
        # A product and a sum for each token alone: a matrix product may round a row by how many others there are.
        values = (chosen * self.rows[:, None, None]).sum(dim=-1) + self.bias[:, None, None]
        if self.activation is not None:
            values = self.activation(values)
        return values * self.signs[:, None, None]


def _source(backbone: Backbone, site: Site) -> tuple[str, nn.Linear, int] | None:
    """Return path, layer and first row of the linear layer whose output a site is."""
    point = site.point
    if point.linear is not None or isinstance(point.channels, Tensor):
        return None
    start = 0 if point.channels is None else point.channels[0]
    if point.when == "output":
        path = site.module
        module = backbone.model.get_submodule(path)
        return (path, module, start) if type(module) is nn.Linear else None
    if site.kind != "mlp_pre":
        return None
    parent = site.module.rpartition(".")[0]
    for name in _INTO:
        layer: Any = getattr(backbone.model.get_submodule(parent), name, None)
        if type(layer) is nn.Linear and layer.out_features == site.width:
            return f"{parent}.{name}", layer, start
    return None


@torch.no_grad()
def find_shortcut(
    backbone: Backbone, site: Site, directions: Tensor, image: Tensor, *, plain: bool, tokens: object = "patches"
) -> Shortcut | None:
    """Return the short way to some units, or None where there is none; checked against the full read on one image.

    Args:
        backbone: the model.
        site: to read.
        directions: `[U, C]` in the site's space, with their signs.
        image: `[1, 3, H, W]` in [0, 1], to check with.
        plain: every direction is one channel.
        tokens: those that count.
    """
    before = site
    activation: nn.Module | None = None
    if site.kind == "mlp":
        pre = before_activation(site, backbone.sites) if plain else None  # a mixture needs every channel's function
        if pre is None or site.point.when != "output" or site.module != pre.module:
            return None
        before, activation = pre, backbone.model.get_submodule(site.module)
    source = _source(backbone, before)
    if source is None:
        return None
    path, layer, start = source
    weight = layer.weight.detach()[start : start + site.width].float()
    bias = weight.new_zeros(site.width) if layer.bias is None else layer.bias.detach()[start : start + site.width]
    directions = directions.to(weight)
    signs = directions.new_ones(len(directions)) if activation is None else directions.sum(dim=1)
    unsigned = directions * signs[:, None]  # the sign comes after the activation function
    point = replace(before.point, when="input", channels=None)
    stand_in = replace(before, name=f"{before.name}.input", kind="module", module=path, point=point)
    shortcut = Shortcut(stand_in, unsigned @ weight, unsigned @ bias.float(), signs, activation)
    return shortcut if _agrees(backbone, site, directions, shortcut, image, tokens) else None


def _agrees(
    backbone: Backbone, site: Site, directions: Tensor, shortcut: Shortcut, image: Tensor, tokens: object
) -> bool:
    """Say whether both ways read the same on an image, for every unit."""
    try:
        with Tap(backbone, [shortcut.site, site]) as tap:
            found = tap(image.float())
        full = select_tokens(found[site.name], site, tokens)[0] @ directions.T  # type: ignore[arg-type]
        inputs = found[shortcut.site.name].expand(len(directions), -1, -1)
        short = shortcut.read(inputs, tokens)[:, 0].T
    except (RuntimeError, ValueError, TypeError, IndexError):  # another layout than we thought: no short way
        return False
    return full.shape == short.shape and bool((full - short).abs().max() <= _TOLERANCE * (1e-3 + full.abs().max()))
