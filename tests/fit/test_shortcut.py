"""The short way to a unit: the same numbers and the same gradient as the full read, wherever there is one."""

from __future__ import annotations

import pytest
import torch

from vitvis.backbones import Tap, load_backbone, parse_units
from vitvis.config.core import merge
from vitvis.fit.objective import Objective
from vitvis.fit.settings import ObjectiveSettings
from vitvis.fit.shortcut import find_shortcut

SMALL = dict(depth=2, embed_dim=48, num_heads=3, patch_size=8)
MODELS = {
    "vit": ("vit_tiny_patch16_224", 32, SMALL),
    "registers": ("vit_base_patch14_reg4_dinov2", 28, SMALL | {"patch_size": 14}),
    "hiera": ("hiera_tiny_224", 224, {"embed_dim": 12, "num_heads": 1, "stages": (1, 1, 1, 1)}),
    "swin": ("swin_tiny_patch4_window7_224", 224, {"embed_dim": 12, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 1, 1)}),
}


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    name, size, arguments = MODELS[request.param]
    torch.manual_seed(0)
    return load_backbone(name, "none", size, **arguments)


def full(backbone, objective, site, images, tokens):
    with Tap(backbone, [site]) as tap:
        return objective.values(tap(images)[site.name], 1.0)


@pytest.mark.parametrize("kind", ["mlp", "mlp_pre", "q", "v"])
def test_values_and_gradients_are_those_of_the_full_read(model, kind) -> None:
    names = [name for name, site in model.sites.items() if site.kind == kind]
    if not names:
        pytest.skip(f"no site of kind {kind}")
    site = model.sites[names[-1]]
    units = parse_units([f"{site.name}:1,3", f"-{site.name}:5"], model.sites)
    objective = Objective(site, units, model.sites, merge(ObjectiveSettings, {"pre": 0.0}))
    images = torch.rand(6, 3, *model.image_size, generator=torch.Generator().manual_seed(3), requires_grad=True)
    shortcut = find_shortcut(model, site, objective.directions, images[:1].detach(), plain=True)
    assert shortcut is not None and shortcut.site.width == site.width
    expected = full(model, objective, site, images, "patches")
    with Tap(model, [shortcut.site]) as tap:
        found = shortcut.read(tap(images)[shortcut.site.name])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    weights = torch.rand(expected.shape, generator=torch.Generator().manual_seed(4))
    (slow,) = torch.autograd.grad((expected * weights).sum(), images)
    (fast,) = torch.autograd.grad((found * weights).sum(), images)
    torch.testing.assert_close(fast, slow, atol=1e-5 * float(slow.abs().max()), rtol=1e-3)


@pytest.mark.parametrize("tokens", ["all", "cls", 3, (0, 1, 2, 3)])
def test_any_choice_of_tokens(backbone, tokens) -> None:
    site = backbone.sites["blocks.1.mlp"]
    objective = Objective(site, parse_units(f"{site.name}:7", backbone.sites), backbone.sites,
                          merge(ObjectiveSettings, {"pre": 0.0, "tokens": tokens}))  # fmt: skip
    images = torch.rand(2, 3, 32, 32)
    shortcut = find_shortcut(backbone, site, objective.directions, images[:1], plain=True, tokens=tokens)
    assert shortcut is not None
    with Tap(backbone, [shortcut.site]) as tap:
        found = shortcut.read(tap(images)[shortcut.site.name], tokens)
    torch.testing.assert_close(found, full(backbone, objective, site, images, tokens), atol=1e-5, rtol=1e-4)


def test_gated_and_convolutional_layers_are_read_in_full() -> None:
    torch.manual_seed(0)
    gated = load_backbone("eva02_tiny_patch14_224", "none", 28, depth=1, embed_dim=48, num_heads=3)
    site = next(site for site in gated.sites.values() if site.kind == "mlp")
    eye = torch.eye(site.width)[:1]
    assert find_shortcut(gated, site, eye, torch.rand(1, 3, 28, 28), plain=True) is None
    cnn = load_backbone("test_resnet", "none", 32)
    site = next(iter(cnn.sites.values()))
    assert find_shortcut(cnn, site, torch.eye(site.width)[:1], torch.rand(1, 3, 32, 32), plain=True) is None


def test_a_layer_that_lies_is_found_out(backbone) -> None:
    """What stands between the linear layer and the site, here a hook, shows in the numbers; then nothing is cut."""
    site = backbone.sites["blocks.1.mlp"]
    image, eye = torch.rand(1, 3, 32, 32), torch.eye(site.width)[:1]
    handle = backbone.model.blocks[1].mlp.fc1.register_forward_hook(lambda module, args, output: output * 2)
    try:
        assert find_shortcut(backbone, site, eye, image, plain=True) is None
    finally:
        handle.remove()
    assert find_shortcut(backbone, site, eye, image, plain=True) is not None


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("pre", [0.0, 1.0])
def test_a_step_makes_no_other_hidden_neuron(fit, backbone, pre, precision) -> None:
    """The layer before the site does not run at all in a step; it runs when the images are measured."""
    calls = []
    layer = backbone.model.blocks[1].mlp.fc1
    handle = layer.register_forward_hook(lambda *_: calls.append(torch.is_grad_enabled()))
    try:
        fit("blocks.1.mlp:0-3", {"steps": 3, "objective": {"pre": pre}}, precision=precision)
    finally:
        handle.remove()
    assert calls and not any(calls)
