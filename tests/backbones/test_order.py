"""Tokens are in row-major order of the image, whatever windows, shifts and mask units the model uses inside."""

from __future__ import annotations

import pytest
import torch

from tests.backbones.architectures import ARCHITECTURES
from tests.backbones.test_architectures import build
from vitvis.backbones import Backbone, Site, Tap, load_backbone

WINDOWED = [
    "vit_tiny_patch16_224",
    "samvit_base_patch16",
    "swin_tiny_patch4_window7_224",
    "swinv2_tiny_window8_256",
    "swinv2_cr_tiny_ns_224",
    "hiera_tiny_224",
    "sam2_hiera_tiny",
    "tiny_vit_5m_224",
    "coat_tiny",
    "pit_ti_distilled_224",
    "twins_svt_small",
    "davit_tiny",
    "nest_tiny",
    "levit_128s",
    "convnext_atto",
    "resmlp_12_224",
]


def mean_place(backbone: Backbone, site: Site, row: float, column: float) -> tuple[float, float]:
    """Where, on a scale of 0 to 1, a spot in the image changes the site most."""
    height, width = backbone.image_size
    torch.manual_seed(1)
    plain = torch.full((1, 3, height, width), 0.5) + 0.05 * torch.randn(1, 3, height, width)
    spot = plain.clone()
    y, x = int(row * height), int(column * width)
    side = max(2, height // 16)
    spot[..., y - side : y + side, x - side : x + side] += 0.01 * torch.randn(1, 3, 2 * side, 2 * side)
    with torch.no_grad(), Tap(backbone, [site]) as tap:
        change = (tap(spot)[site.name] - tap(plain)[site.name]).abs().mean(-1)[0, site.prefix_tokens :]
    rows, columns = site.grid or (1, 1)
    weights = (change**2 / (change**2).sum()).reshape(rows, columns)
    y = (weights.sum(1) * (torch.arange(rows) + 0.5)).sum() / rows
    x = (weights.sum(0) * (torch.arange(columns) + 0.5)).sum() / columns
    return float(y), float(x)


@pytest.mark.parametrize("name", WINDOWED)
def test_a_spot_in_the_image_moves_the_token_at_its_place(name: str) -> None:
    backbone = build(name)
    tested = 0
    # the first two blocks (shifted windows among them): later ones see the whole image; attn mixes tokens by design
    kinds = ("q", "k", "v", "mlp_pre", "mlp", "block")
    for site in [
        s for s in backbone.sites.values() if s.grid and min(s.grid) >= 4 and s.depth <= 1 and s.kind in kinds
    ]:
        for row, column in ((0.2, 0.8), (0.6, 0.3)):
            y, x = mean_place(backbone, site, row, column)
            slack = 0.6 / min(site.grid) + 0.1
            assert abs(y - row) <= slack and abs(x - column) <= slack, (site.name, (y, x), (row, column))
            tested += 1
    assert tested >= 4


@pytest.mark.parametrize(
    "name", [name for name in WINDOWED if " k " in ARCHITECTURES[name][2] and name != "levit_128s"]
)
def test_heads_and_attention_branch_hold_the_same_token_at_the_same_place(name: str) -> None:
    backbone = build(name)
    pairs = [site for site in backbone.sites.values() if site.name.endswith("attn_heads")]
    images = torch.rand(2, 3, *backbone.image_size)
    for site in pairs:
        branch = backbone.sites[site.name.removesuffix("_heads")]
        with torch.no_grad(), Tap(backbone, [site, branch]) as tap:
            read = tap(images)
            projection = backbone.model.get_submodule(site.module)
            torch.testing.assert_close(projection(read[site.name]), read[branch.name], atol=1e-4, rtol=1e-4)
    assert pairs


def test_swin_q_of_a_shifted_window_equals_a_slow_loop() -> None:
    backbone = build("swin_tiny_patch4_window7_224")  # 28 x 28 tokens, windows of 7, shifted by 3
    block = backbone.model.layers[0].blocks[1]
    assert block.shift_size == (3, 3)
    images = torch.rand(2, 3, 112, 112)
    seen: list[torch.Tensor] = []
    handle = block.norm1.register_forward_hook(lambda module, args, output: seen.append(output))
    with torch.no_grad(), Tap(backbone, ["layers.0.blocks.1.q"]) as tap:
        q = tap(images)["layers.0.blocks.1.q"]
    handle.remove()
    weight, bias = block.attn.qkv.weight[:24], block.attn.qkv.bias[:24]
    for image, row, column in ((0, 0, 0), (0, 27, 0), (1, 13, 22), (1, 2, 27)):
        expected = weight @ seen[0][image, row, column] + bias
        torch.testing.assert_close(q[image, row * 28 + column], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("index", [0, 1, 3])
def test_hiera_blocks_equal_timms_own_intermediates(index: int) -> None:
    backbone = build("hiera_tiny_224")
    images = torch.rand(1, 3, *backbone.image_size)
    with torch.no_grad():
        features = backbone.model.forward_intermediates(
            backbone.normalize(images), indices=[index], intermediates_only=True, coarse=False, output_fmt="NHWC"
        )[0]
        with Tap(backbone, [f"blocks.{index}.block"]) as tap:
            found = tap(images)[f"blocks.{index}.block"]
    torch.testing.assert_close(found, features.flatten(1, 2))


def test_images_that_are_not_square_keep_rows_and_columns() -> None:
    with pytest.warns(UserWarning, match="random"):
        backbone = load_backbone("vit_tiny_patch16_224", "none", (64, 96), depth=1)
    assert backbone.sites["blocks.0.mlp"].grid == (4, 6)
    y, x = mean_place(backbone, backbone.sites["blocks.0.q"], 0.2, 0.75)
    assert (y, x) == pytest.approx((0.125, 0.75), abs=0.13)
