"""Compile the blocks that run before a site."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from vitvis.backbones import Site
from vitvis.backbones.backbone import Backbone

__all__ = ["compiled_blocks", "repeated_blocks"]


def repeated_blocks(model: nn.Module) -> dict[str, nn.Module]:
    """Return the modules of every list of a model (its blocks) by dotted path, outermost ones only."""
    found: dict[str, nn.Module] = {}
    for path, module in model.named_modules():
        if any(path.startswith(f"{outer}.") for outer in found):
            continue
        parent = path.rpartition(".")[0]
        if path and isinstance(model.get_submodule(parent), nn.ModuleList | nn.Sequential):
            found[path] = module
    return found


@contextmanager
def compiled_blocks(backbone: Backbone, site: Site, mode: str = "default") -> Iterator[None]:
    """Compile all blocks but the one that holds the site, and undo it on the way out.

    The early exit leaves the forward pass in the middle of the site's own block, by a hook, which no compiler follows;
    every block before it is whole. Blocks are compiled when they first run, so those behind the site cost nothing, and
    equal blocks share their code.

    Args:
        backbone: the model.
        site: where the forward pass stops.
        mode: of `torch.compile`: `default`, or `reduce-overhead` (CUDA graphs).
    """
    compiled = []
    for path, block in repeated_blocks(backbone.model).items():
        if site.module == path or site.module.startswith(f"{path}."):
            continue
        block.forward = torch.compile(  # type: ignore[method-assign]
            block.forward, dynamic=False, mode=None if mode == "default" else mode
        )
        compiled.append(block)
    try:
        yield
    finally:
        for block in compiled:
            del block.forward  # that of its class again
