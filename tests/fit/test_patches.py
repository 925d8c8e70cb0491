"""Patch embeddings as matrix products: the same numbers and gradients as the convolution, which is put back."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vitvis.backbones import load_backbone
from vitvis.fit.patches import as_products, embed_patches, patch_convolutions


@pytest.mark.parametrize(("kernel", "size"), [(16, (32, 48)), ((4, 8), (17, 33)), (2, (6, 6))])
@pytest.mark.parametrize("bias", [True, False])
def test_the_product_is_the_convolution(kernel, size, bias) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 10, kernel, kernel, bias=bias).requires_grad_(False)
    images = torch.rand(2, 3, *size, requires_grad=True)
    slow, fast = layer(images), embed_patches(layer, images)
    torch.testing.assert_close(fast, slow, atol=1e-5, rtol=1e-5)
    weights = torch.rand_like(slow)
    gradients = [torch.autograd.grad((value * weights).sum(), images)[0] for value in (slow, fast)]
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-5, rtol=1e-5)


def test_tokens_come_out_in_one_piece() -> None:
    embedded = embed_patches(nn.Conv2d(3, 10, 4, 4), torch.rand(2, 3, 8, 12))
    assert embedded.flatten(2).transpose(1, 2).is_contiguous()  # as timm reads them: no copy


@pytest.mark.parametrize(("name", "found"), [("test_vit", 1), ("test_convnext", 1), ("test_resnet", 0)])
def test_only_windows_that_do_not_overlap_are_taken(name, found) -> None:
    model = load_backbone(name, "none")
    layers = patch_convolutions(model)
    assert len(layers) == found
    images = torch.rand(1, 3, *model.image_size)
    with torch.no_grad():
        before = model(images)
        with as_products(layers):
            within = model(images)
        assert not any("forward" in vars(layer) for layer in layers)
        torch.testing.assert_close(within, before, atol=1e-4, rtol=1e-4)
        assert torch.equal(model(images), before)
