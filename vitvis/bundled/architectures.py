"""The two architectures that vitvis trains and ships, registered with timm under their own names.

Importing this file makes `timm.create_model("vitvis_vit")` and `timm.create_model("vitvis_resnet")` work.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from timm.layers import build_sincos2d_pos_embed
from timm.models import ResNet, VisionTransformer, build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.resnet import BasicBlock
from timm.models.vision_transformer import Attention, checkpoint_filter_fn
from torch import nn

from vitvis.bundled import BUNDLED

__all__ = ["init_mimetic", "vitvis_resnet", "vitvis_vit"]


def _cfg(name: str, first_conv: str, classifier: str) -> dict[str, Any]:
    return dict(
        file=str(BUNDLED[name].file),
        input_size=(3, 64, 64),
        num_classes=200,
        crop_pct=1.0,
        crop_mode="center",
        interpolation="bicubic",
        mean=BUNDLED[name].mean,
        std=BUNDLED[name].std,
        first_conv=first_conv,
        classifier=classifier,
    )


default_cfgs = generate_default_cfgs(
    {
        "vitvis_vit.tiny_imagenet": _cfg("vitvis_vit", "patch_embed.proj", "head"),
        "vitvis_resnet.tiny_imagenet": _cfg("vitvis_resnet", "conv1", "fc")
        | dict(pool_size=(4, 4), fixed_input_size=False),
    }
)


@register_model
def vitvis_vit(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:
    """Build a plain pre-norm ViT-Tiny with patch 8 at 64 px: 12 blocks of width 192, GELU, a CLS token."""
    defaults: dict[str, Any] = dict(img_size=64, patch_size=8, embed_dim=192, depth=12, num_heads=3, num_classes=200)
    return build_model_with_cfg(
        VisionTransformer,
        "vitvis_vit",
        pretrained,
        pretrained_filter_fn=checkpoint_filter_fn,
        feature_cfg=dict(out_indices=3, feature_cls="getter"),
        **(defaults | kwargs),
    )


class _SmallResNet(ResNet):
    """timm's ResNet with a stem for 64 px: a 3x3 convolution of stride 2 and no max-pooling."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        stem: Any = self.conv1
        conv = nn.Conv2d(stem.in_channels, stem.out_channels, 3, stride=2, padding=1, bias=False)
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        self.conv1 = conv  # type: ignore[assignment]
        self.maxpool = nn.Identity()  # type: ignore[assignment]


@register_model
def vitvis_resnet(pretrained: bool = False, **kwargs: Any) -> ResNet:
    """Build a ResNet-18 of width 48 to 352 for 64 px: 5.7 M parameters, 4 % more than `vitvis_vit`."""
    defaults: dict[str, Any] = dict(block=BasicBlock, layers=[2, 2, 2, 2], channels=(48, 96, 192, 352), num_classes=200)
    return build_model_with_cfg(_SmallResNet, "vitvis_resnet", pretrained, **(defaults | kwargs))


@torch.no_grad()
def init_mimetic(model: VisionTransformer, generator: torch.Generator | None = None) -> None:
    """Start attention the way trained attention looks, which a short schedule thanks with several points.

    Per head, the product of query and key weights is near the identity and that of value and projection weights near
    its negative; position embeddings start as 2-D sines and cosines. Formula and constants (0.7, 0.7 and 0.4, 0.4):
    Trockman and Kolter, *Mimetic Initialization of Self-Attention Layers*, arXiv 2305.09828, section 4.

    Args:
        model: A timm VisionTransformer with fused qkv; changed in place.
        generator: Source of the noise.
    """

    def near_identity(width: int, noise: float, diagonal: float) -> torch.Tensor:
        return noise * torch.randn(width, width, generator=generator) / math.sqrt(width) + diagonal * torch.eye(width)

    for block in model.blocks:
        attention: Attention = block.attn  # type: ignore[assignment]
        width, head = attention.qkv.in_features, attention.head_dim
        query, key, value = attention.qkv.weight.view(3, attention.num_heads, head, width)
        for index in range(attention.num_heads):
            left, scale, right = torch.linalg.svd(near_identity(width, 0.7, 0.7))
            root = scale[:head].sqrt()
            query[index] = (left[:, :head] * root).T
            key[index] = right[:head] * root[:, None]
        left, scale, right = torch.linalg.svd(near_identity(width, 0.4, -0.4))
        value.copy_((right * scale.sqrt()[:, None]).view_as(value))
        attention.proj.weight.copy_(left * scale.sqrt())
    grid = model.patch_embed.grid_size
    table = build_sincos2d_pos_embed(list(grid), dim=model.embed_dim)
    assert model.pos_embed is not None  # only timm's models without position embeddings lack it
    model.pos_embed[:, model.num_prefix_tokens :] = 0.1 * table.to(model.pos_embed.dtype)
