"""Attention in bfloat16 on a CPU goes the plain way, 5 times as fast there; all else keeps the fused kernel."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from vitvis.backbones.bfloat16 import fitting_attention, fused_attentions


@pytest.fixture
def calls(monkeypatch):
    """Calls of the fused kernel: whether each was one of a step, which needs gradients."""
    kernel, seen = functional.scaled_dot_product_attention, []

    def counted(query, *args, **kwargs):
        seen.append(query.requires_grad)
        return kernel(query, *args, **kwargs)

    monkeypatch.setattr(functional, "scaled_dot_product_attention", counted)
    return seen


@pytest.mark.parametrize(("precision", "fused"), [("32-true", True), ("bf16-mixed", False)])
def test_steps_take_the_kernel_that_suits_their_precision(fit, backbone, calls, precision, fused) -> None:
    fit("blocks.1.block:2", {"steps": 2}, precision=precision)
    assert calls.count(True) == (4 if fused else 0)  # two blocks, two steps
    assert calls.count(False) > 0  # measuring is done in float32, without gradients
    assert all(layer.fused_attn for layer in fused_attentions(backbone)) and len(fused_attentions(backbone)) == 2


def test_layers_are_given_back_after_an_error_too(backbone) -> None:
    layers = fused_attentions(backbone)
    with pytest.raises(KeyError), torch.autocast("cpu", torch.bfloat16), fitting_attention(layers):
        assert not any(layer.fused_attn for layer in layers)
        raise KeyError
    assert all(layer.fused_attn for layer in layers)


def test_both_ways_compute_the_same(backbone) -> None:
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        fused = backbone(images)
        with fitting_attention(fused_attentions(backbone)):
            plain = backbone(images)
    torch.testing.assert_close(plain, fused, atol=0.05, rtol=0.05)  # bfloat16 has 8 bits
