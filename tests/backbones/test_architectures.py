"""One family after another: layouts, widths, values and gradients, against the models' own weights and calls."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.backbones.architectures import ARCHITECTURES
from vitvis.backbones import Backbone, Site, Tap, load_backbone

# what follows the hidden neurons
LAYERS_OUT = ("fc2", "conv_pwl", "ln2.linear", "fc2.conv", "conv2.c", "pw2.conv", "pw2.c", "3.c", "2.c", "pwconv2")
# queries come from convolutions, whose inputs are not compared
BY_CONVOLUTION = ("levit", "coatnet", "shvit")
PER_HEAD = {"LevitDistilled", "Levit", "TinyVit"}  # fused weights hold [head][q | k | v]


def build(name: str) -> Backbone:
    size, kwargs, _ = ARCHITECTURES[name]
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        backbone = load_backbone(name, "none", size, **kwargs)
    for parameter in backbone.parameters():  # zero biases, layer scales near zero and zero gates would hide mistakes
        if parameter.ndim <= 1 or float(parameter.abs().max()) < 1e-3:
            parameter.data.add_(0.1 * torch.randn_like(parameter))
    return backbone


def linear_calls(monkeypatch: pytest.MonkeyPatch, backbone: Backbone, images: Tensor) -> list[tuple[Any, ...]]:
    """Every use of a weight matrix in a plain forward pass: (weight, input, bias)."""
    calls: list[tuple[Any, ...]] = []
    original: Callable[..., Tensor] = nn.functional.linear

    def spy(value: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        calls.append((weight, value.detach(), bias))
        return original(value, weight, bias)

    with monkeypatch.context() as patch, torch.no_grad():
        patch.setattr(nn.functional, "linear", spy)
        backbone(images)
    return calls


def sorted_tokens(tokens: Tensor) -> Tensor:
    """Tokens of all images in an order of their own, so that only their values are compared."""
    flat = tokens.reshape(-1, tokens.shape[-1])
    key = flat.double() @ torch.linspace(1, 2, flat.shape[1], dtype=torch.float64)
    return flat[key.argsort()]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_sites_agree_with_the_model(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = build(name)
    sites = backbone.sites
    assert {site.kind for site in sites.values()} == set(ARCHITECTURES[name][2].split())
    images = torch.rand(2, 3, *backbone.image_size)
    with torch.no_grad(), Tap(backbone, list(sites)) as tap:
        read = tap(images)
    for key, site in sites.items():
        assert read[key].shape == (2, site.tokens, site.width), key
        assert read[key].isfinite().all(), key
    check_widths(backbone)
    check_projections(backbone, read, linear_calls(monkeypatch, backbone, images))
    check_gradients(backbone, images)


def check_widths(backbone: Backbone) -> None:
    """Hidden widths are those of the matrix that comes next."""
    weights = dict(backbone.model.named_parameters())
    for site in backbone.sites.values():
        if site.kind == "mlp":
            base = site.module.rpartition(".")[0].removesuffix(".bn2").removesuffix(".fc1")
            outs = [weights.get(f"{base}.{end}.weight") for end in LAYERS_OUT]
            out = next(weight for weight in outs if weight is not None)
            gated = "GatedMlp" in type(backbone.model.get_submodule(base)).__name__
            assert site.width == out.shape[1] * (2 if gated else 1), site.name
        if site.kind == "head":
            assert site.width == backbone.num_classes


def check_projections(backbone: Backbone, read: dict[str, Tensor], calls: list[tuple[Any, ...]]) -> None:
    """q, k and v are products of the weights and the very inputs that the model gave them."""
    checked = 0
    for site in backbone.sites.values():
        if site.kind not in "qkv" or site.point.call:
            continue
        linear = site.point.linear
        path = f"{site.module}.{linear[0]}" if linear else f"{site.module}.weight"
        weight = dict(backbone.model.named_parameters()).get(path)
        if weight is None or weight.ndim != 2:
            continue
        uses = [(value, bias) for used, value, bias in calls if used is weight]
        if not uses:
            continue
        value, bias = uses[0]
        product = value @ weight.T + (0 if bias is None else bias)
        if linear is None and type(backbone.model).__name__ not in PER_HEAD:
            leaf = site.module.rpartition(".")[2]
            parts = {"qkv": "qkv", "kv": "kv", "qk": "qk"}.get(leaf, site.kind)
            product = product.chunk(len(parts), -1)[parts.index(site.kind)]
        elif linear is not None:
            product = product.chunk(3, -1)["qkv".index(site.kind)]
        else:
            attention = backbone.model.get_submodule(site.module.rpartition(".")[0])
            sizes = [attention.key_dim, attention.key_dim, attention.val_dim]
            heads = product.unflatten(-1, (attention.num_heads, -1)).split(sizes, -1)
            product = heads["qkv".index(site.kind)].flatten(-2)
        found = read[site.name].detach()
        if product.reshape(-1, product.shape[-1]).shape == found.reshape(-1, found.shape[-1]).shape:
            torch.testing.assert_close(sorted_tokens(found), sorted_tokens(product), atol=1e-5, rtol=1e-4)
        else:  # padding fills windows: each token must be among those of the model
            rows, exact = product.reshape(-1, product.shape[-1]), "donot_use_mm_for_euclid_dist"
            gaps = torch.cdist(found.flatten(0, 1), rows, compute_mode=exact)
            assert gaps.min(dim=1).values.max() < 1e-3, site.name
        checked += 1
    kinds = ARCHITECTURES[backbone.name][2]
    assert checked or " k " not in kinds or backbone.name.startswith(BY_CONVOLUTION)


def check_gradients(backbone: Backbone, images: Tensor) -> None:
    """The gradient of every kind of site reaches the image, and one image alone has the gradient it has beside another.

    Shallowest sites, read one at a time: deep ones have one patch at these sizes, and a second site would bring its own
    gradient along, laid out otherwise. The tolerance is that of sums in another order, the faults were of the size of
    the gradient itself.
    """
    shallow = {site.kind: site for site in reversed(backbone.sites.values())}
    for site in shallow.values():
        beside = gradient(backbone, site, images)[:1]
        alone = gradient(backbone, site, images[:1])
        assert beside.isfinite().all() and beside.abs().sum() > 0, site.name
        torch.testing.assert_close(alone, beside, rtol=1e-3, atol=2e-4 * float(beside.abs().max()), msg=site.name)
    assert all(parameter.grad is None for parameter in backbone.parameters())


def gradient(backbone: Backbone, site: Site | str, images: Tensor) -> Tensor:
    """Gradient, by the images, of a weighted sum of a site's activations; the same weights for every image."""
    images = images.detach().clone().requires_grad_()
    with Tap(backbone, [site]) as tap:
        (read,) = tap(images).values()
    weights = torch.randn(read.shape[1:], generator=torch.Generator().manual_seed(5), dtype=torch.float32)
    (found,) = torch.autograd.grad((read * weights.to(read)).sum(), images)
    return found


@pytest.mark.parametrize(
    ("name", "settings", "count"),
    [
        ("res2net50d", {"layers": (1, 2, 1, 1)}, 5),
        ("dla34", {"levels": (1, 1, 1, 1, 1, 1), "channels": (8, 8, 16, 16, 16, 16)}, 8),
        ("inception_v3", {}, 11),  # the Mixed modules of the paper
    ],
)
def test_blocks_are_counted(name: str, settings: dict[str, Any], count: int) -> None:
    with pytest.warns(UserWarning, match="random"):
        backbone = load_backbone(name, "none", 96, **settings)
    assert sum(site.kind == "block" for site in backbone.sites.values()) == count


def test_depth_counts_blocks_in_order_of_execution() -> None:
    depths = {key: site.depth for key, site in build("coat_tiny").sites.items()}
    assert depths["serial_blocks1.0.mlp"] == 0 and depths["serial_blocks4.0.q"] == 3
    assert depths["parallel_blocks.0.mlp2.mlp"] == depths["parallel_blocks.0.factoratt_crpe4.v"] == 4
    assert depths["head"] == 5
    for name in ("swin_tiny_patch4_window7_224", "resnet18", "mobilenetv2_100", "vit_tiny_patch16_224"):
        sites = build(name).sites
        blocks = [site for site in sites.values() if site.kind == "block"]
        assert [site.depth for site in blocks] == list(range(len(blocks)))
        for site in sites.values():
            if site.kind not in ("block", "head"):
                assert site.depth == sites[f"{site.name.rpartition('.')[0]}.block"].depth
        assert sites.get("head", blocks[-1]).depth in (len(blocks), len(blocks) - 1)
