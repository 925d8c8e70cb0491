"""What a site is, and how it is read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    from .dictionary import Dictionary

__all__ = ["KINDS", "Site", "TapPoint"]

KINDS = ("mlp", "mlp_pre", "q", "k", "v", "attn", "block", "head", "latent", "module")


@dataclass(frozen=True, eq=False)
class TapPoint:
    """How the tensor of a site is picked up inside the model.

    Attributes:
        when: `output` or `input` of the hooked module.
        call: which call of the module in one forward pass (modules with shared weights run several times).
        channels: `(start, stop)` or a list of the channels that belong to the site; None for all.
        linear: the site is `linear(input of the module)` with these parameters of the module, by name and rows:
            `(weight, bias or None, start, stop)`. For attentions that apply their fused weight by hand.
        order: `[N]`, where the token of each canonical position sits in the raw tensor; None: already canonical.
        clone: the model overwrites the tensor in place later on.
        item: which item of an output of several tensors; None where there is one.
    """

    when: str = "output"
    call: int = 0
    channels: tuple[int, int] | Tensor | None = None
    linear: tuple[str, str | None, int, int] | None = None
    order: Tensor | None = None
    clone: bool = False
    item: int | None = None


@dataclass(frozen=True)
class Site:
    """One named activation tensor inside a backbone.

    Attributes:
        name: address of the site, `blocks.4.mlp`.
        kind: one of `KINDS`.
        module: dotted path of the torch module that is hooked.
        width: number of units (channels).
        layout: of the raw tensor: `NLC`, `NHWC`, `NCHW` or `NC`.
        prefix_tokens: CLS, register and distillation tokens in front of the patches.
        grid: rows and columns of the patches; None where there are none (`NC`).
        depth: position among the blocks, 0 = first; the same for all kinds of one block.
        heads: attention heads of q, k, v and attn; None elsewhere.
        point: how the tensor is picked up (private to `vitvis.backbones`).
        dictionary: of a site of latents, `blocks.8.block@FILE`: what makes codes of the activations; None elsewhere.
    """

    name: str
    kind: str
    module: str
    width: int
    layout: str
    prefix_tokens: int
    grid: tuple[int, int] | None
    depth: int
    heads: int | None = None
    point: TapPoint = field(default=TapPoint(), repr=False, compare=False)
    dictionary: Dictionary | None = field(default=None, repr=False, compare=False)

    @property
    def tokens(self) -> int:
        """Number of tokens of the canonical activation `[B, tokens, width]`."""
        patches = 1 if self.grid is None else self.grid[0] * self.grid[1]
        return self.prefix_tokens + patches

    @property
    def described(self) -> dict[str, Any]:
        """What manifests say of a site."""
        return {
            "name": self.name,
            "kind": self.kind,
            "depth": self.depth,
            "width": self.width,
            "grid": list(self.grid) if self.grid else None,
        }

    @property
    def source(self) -> Site:
        """The site that is tapped: of latents, what goes into their dictionary, under the same name; else itself."""
        if self.dictionary is None:
            return self
        return replace(self, width=self.dictionary.inputs, dictionary=None)

    def latents(self, file: str, dictionary: Dictionary) -> Site:
        """Return the site of a dictionary's latents, read from this one."""
        name = f"{self.name}@{file}"
        return replace(self, name=name, kind="latent", width=dictionary.width, heads=None, dictionary=dictionary)
