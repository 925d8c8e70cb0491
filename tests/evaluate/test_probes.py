from __future__ import annotations

import numpy as np
import pytest
import torch

from vitvis.backbones import load_backbone
from vitvis.errors import VitvisError
from vitvis.evaluate.probes import LowpassProbe, TokensProbe, lowpass

VIT = "vit_tiny_patch16_224"


@pytest.fixture(scope="module")
def vit():
    torch.manual_seed(0)
    backbone = load_backbone(VIT, weights="none", image_size=48, depth=3, num_classes=7)
    torch.nn.init.normal_(backbone.model.head.weight)
    torch.nn.init.normal_(backbone.model.cls_token)
    return backbone


@pytest.mark.parametrize("size", [(16, 16), (15, 20)])
def test_lowpass_keeps_waves_below_the_cut_off_and_removes_those_above(size):
    y, x = torch.meshgrid(torch.arange(size[0]) / size[0], torch.arange(size[1]) / size[1], indexing="ij")
    slow, fast = (0.2 * torch.sin(2 * np.pi * (fx * x + fy * y)) for fx, fy in ((2, 1), (4, 4)))
    image = (0.5 + slow + fast)[None, None]
    assert torch.allclose(lowpass(image, 3.0), (0.5 + slow)[None, None], atol=1e-5)  # |(2, 1)| = 2.24, |(4, 4)| = 5.66
    assert torch.allclose(lowpass(image, 2.0), torch.full_like(image, 0.5), atol=1e-5)
    assert torch.allclose(lowpass(image, 100), image, atol=1e-5)


def test_lowpass_against_numpy_and_within_0_1():
    image = torch.rand(2, 3, 12, 18, generator=torch.Generator().manual_seed(0))
    frequency = np.hypot(np.fft.fftfreq(12, 1 / 12)[:, None], np.fft.fftfreq(18, 1 / 18)[None])
    expected = np.fft.ifft2(np.fft.fft2(image.numpy()) * (frequency <= 4)).real.clip(0, 1)
    assert np.allclose(lowpass(image, 4).numpy(), expected, atol=1e-5)


def test_lowpass_probe_asks_in_order(vit):
    probe = LowpassProbe([8, 2])
    outcomes = list(probe.run(vit, torch.rand(2, 3, 48, 48), torch.zeros(2, dtype=torch.long)))
    assert probe.names(vit) == ["full", "radius 2", "radius 8"]
    assert [outcome.variant.tolist() for outcome in outcomes] == [[0, 0], [1, 1], [2, 2]]


def test_natural_tokens_are_the_model_itself(vit):
    images = torch.rand(2, 3, 48, 48)
    with torch.inference_mode():
        natural = next(iter(TokensProbe().run(vit, images, torch.zeros(2, dtype=torch.long))))
        assert torch.allclose(natural.logits, vit(images), atol=1e-5)


def test_single_tokens_against_a_loop(vit):
    images = torch.rand(2, 3, 48, 48)
    with torch.inference_mode():
        outcomes = list(TokensProbe().run(vit, images, torch.zeros(2, dtype=torch.long)))
        tokens = vit.model.forward_features(vit.normalize(images))
        for position in range(9):
            expected = vit.model.head(tokens[:, 1 + position])
            assert torch.allclose(outcomes[1].logits[:, position], expected, atol=1e-5)


def test_isolated_cls_against_two_separate_streams(vit):
    """CLS alone and the patches alone, each through blocks that never see the other, joined at block l."""
    model, images = vit.model, torch.rand(2, 3, 48, 48)
    with torch.inference_mode():
        outcomes = list(TokensProbe().run(vit, images, torch.zeros(2, dtype=torch.long)))
        assert len(outcomes) == len(TokensProbe().names(vit)) == 2 + 3
        start = model._pos_embed(model.patch_embed(vit.normalize(images)))
        for until in (1, 2, 3):
            cls, patches = start[:, :1], start[:, 1:]
            for block in model.blocks[:until]:
                cls, patches = block(cls), block(patches)
            joined = torch.cat([cls, patches], 1)
            for block in model.blocks[until:]:
                joined = block(joined)
            assert torch.allclose(outcomes[1 + until].logits, model.head(model.norm(joined)[:, 0]), atol=1e-4)


def test_cls_that_never_sees_the_image_says_the_same_about_all(vit):
    with torch.inference_mode():
        *_, last = TokensProbe().run(vit, torch.rand(3, 3, 48, 48), torch.zeros(3, dtype=torch.long))
    assert torch.allclose(last.logits[0], last.logits[1], atol=1e-5)


def test_tokens_of_a_cnn_are_an_error_that_says_what_to_do():
    with pytest.raises(VitvisError, match="no plain ViT.*vitvis_vit"):
        TokensProbe().check(load_backbone("resnet10t", weights="none"))
