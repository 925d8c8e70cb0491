"""Gradients of one image alone: against finite differences, and as docs/python.md takes them."""

from __future__ import annotations

import pytest
import torch

from tests.backbones.test_architectures import build, gradient
from vitvis.backbones import Tap

# each was wrong once where one image was in the batch, by the size of the gradient itself
SITES = {
    "mobilenetv2_100": ("blocks.1.0.mlp", "blocks.1.0.mlp_pre", "blocks.0.0.bn1", "conv_stem", "head"),
    "xcit_nano_12_p16_224": ("blocks.0.q", "blocks.1.block"),
    "levit_128s": ("stages.0.blocks.0.block", "stages.1.downsample.q"),
    "tiny_vit_5m_224": ("stages.1.blocks.0.mlp",),
    "resnet18": ("layer1.0.bn2", "layer1.0.block"),
    "swin_tiny_patch4_window7_224": ("layers.0.blocks.1.q", "layers.1.blocks.0.attn_heads"),
    "vit_tiny_patch16_224": ("blocks.0.mlp", "head"),
}


@pytest.mark.parametrize("name", SITES)
def test_gradients_agree_with_finite_differences_in_float64(name: str) -> None:
    backbone = build(name).double()
    image = torch.rand(1, 3, *backbone.image_size, dtype=torch.float64)
    for site in SITES[name]:
        found = gradient(backbone, site, image)
        step = 1e-8 * found.sign()  # along the gradient's signs, where the slope is the sum of its sizes
        slope = (value(backbone, site, image + step) - value(backbone, site, image - step)) / 2e-8
        # a longer step would cross kinks of ReLU6
        assert slope == pytest.approx(float(found.abs().sum()), rel=1e-5), site


def value(backbone: object, site: str, images: torch.Tensor) -> float:
    with torch.no_grad(), Tap(backbone, [site]) as tap:  # type: ignore[arg-type]
        (read,) = tap(images).values()
    weights = torch.randn(read.shape[1:], generator=torch.Generator().manual_seed(5), dtype=torch.float32)
    return float((read * weights.to(read)).sum())


def test_a_visitor_gets_the_same_gradient_and_the_hooks_of_a_tap_go_with_the_graph() -> None:
    backbone = build("mobilenetv2_100")
    site = "blocks.1.0.mlp"
    images = torch.rand(1, 3, *backbone.image_size, requires_grad=True)
    with Tap(backbone, [site]) as tap:
        (kept,) = torch.autograd.grad(tap(images)[site][0, :, 3].sum(), images)
        (visited,) = torch.autograd.grad(tap(images, lambda _, read: read[0, :, 3].sum())[site], images)
    torch.testing.assert_close(visited, kept)
    assert images._backward_hooks is None


def test_any_submodule_has_the_gradient_it_has_beside_another_image() -> None:
    backbone = build("efficientnet_b0")
    images = torch.rand(2, 3, *backbone.image_size)
    for site in backbone.sites.tappable_modules()[:24]:
        beside, alone = gradient(backbone, site, images)[:1], gradient(backbone, site, images[:1])
        torch.testing.assert_close(alone, beside, rtol=1e-3, atol=2e-4 * float(beside.abs().max()), msg=site.name)
