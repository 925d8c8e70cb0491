"""Accuracy from single patch tokens, and with CLS kept apart from the patches until block l (plain ViTs)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from vitvis.errors import VitvisError
from vitvis.evaluate.probes.base import Outcome, Probe

if TYPE_CHECKING:
    from vitvis.backbones import Backbone

__all__ = ["TokensProbe", "isolation_mask"]

NATURAL, SINGLE = "natural", "single token"


def isolation_mask(tokens: int, device: torch.device | str = "cpu") -> Tensor:
    """Return who may look at whom, bool `[tokens, tokens]`: token 0 (CLS) only at itself, the rest at all but it."""
    mask = torch.ones(tokens, tokens, dtype=torch.bool, device=device)
    mask[0, 1:] = False
    mask[1:, 0] = False
    return mask


class TokensProbe(Probe):
    """The token experiments of the work, for timm's `VisionTransformer`.

    - `natural`: the model as it is.
    - `single token`: final norm and head applied to one patch token instead of CLS (or the pooled tokens), for each
      position. The table gives the mean over positions and the best position, which is chosen on the same images.
    - `isolated until l`: in the blocks before block l, CLS attends to itself alone and no other token attends to it;
      from block l on the model is left alone. 0 is the natural model; the depth means that CLS never sees the image.
      Models without CLS have no such rows.
    """

    def names(self, backbone: Backbone) -> list[str]:
        """Return `natural`, `single token`, and `isolated until 1` ... for each block."""
        model = _plain_vit(backbone)
        layers = [f"isolated until {block}" for block in range(1, len(model.blocks) + 1)] if _pools_cls(model) else []
        return [NATURAL, SINGLE, *layers]

    def check(self, backbone: Backbone) -> None:
        """Raise VitvisError where the model is no plain ViT."""
        _plain_vit(backbone)

    def run(self, backbone: Backbone, images: Tensor, variant: Tensor) -> Iterator[Outcome]:
        """Run the model once as it is, once isolated, and branch off the isolated run before each block."""
        model = _plain_vit(backbone)
        start = _embed(model, backbone.normalize(images))
        last = start
        for block in model.blocks:
            last = block(last)
        yield Outcome(torch.zeros_like(variant), model.forward_head(model.norm(last)))
        patches = model.norm(last)[:, model.num_prefix_tokens :]
        yield Outcome(torch.ones_like(variant), model.head(model.head_drop(model.fc_norm(patches))))
        if not _pools_cls(model):
            return
        mask = isolation_mask(start.shape[1], start.device)
        apart = start
        for count, block in enumerate(model.blocks, start=1):
            apart = block(apart, attn_mask=mask)
            joined = apart
            for later in model.blocks[count:]:
                joined = later(joined)
            yield Outcome(torch.full_like(variant, 1 + count), model.forward_head(model.norm(joined)))


def _embed(model: Any, images: Tensor) -> Tensor:
    """Return the tokens that enter the first block, `[B, tokens, width]`."""
    tokens = model._pos_embed(model.patch_embed(images))
    return model.norm_pre(model.patch_drop(tokens))


def _pools_cls(model: Any) -> bool:
    return getattr(model, "cls_token", None) is not None and model.global_pool == "token"


def _plain_vit(backbone: Backbone) -> Any:
    from timm.models import VisionTransformer

    model: nn.Module = backbone.model
    if not isinstance(model, VisionTransformer) or getattr(model, "attn_pool", None) is not None:
        raise VitvisError(
            f"probe=tokens: {backbone.name} is no plain ViT ({type(model).__name__});"
            " choose models such as vitvis_vit or vit_base_patch16_224"
        )
    return model


def token_grid(backbone: Backbone) -> tuple[int, int]:
    """Return rows and columns of a plain ViT's patches."""
    rows, columns = _plain_vit(backbone).patch_embed.grid_size
    return int(rows), int(columns)
