"""The tap stops early, changes nothing, and cleans up."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.backbones.test_architectures import build
from vitvis.backbones import Backbone, Tap
from vitvis.errors import VitvisError


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return build("vit_tiny_patch16_224")


def hooks(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def images(backbone: Backbone) -> Tensor:
    torch.manual_seed(3)
    return torch.rand(2, 3, *backbone.image_size, requires_grad=True)


@pytest.mark.parametrize(
    "name", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "resnet18", "eva02_tiny_patch14_224"]
)
def test_early_exit_gives_the_activations_and_gradients_of_the_full_forward(name: str) -> None:
    backbone = build(name)
    site = [s for s in backbone.sites.values() if s.kind == "block"][1]
    batch = images(backbone)
    seen: list[Tensor] = []
    handle = backbone.model.get_submodule(site.module).register_forward_hook(lambda m, a, o: seen.append(o))
    full = backbone(batch)
    handle.remove()
    raw = seen[0].flatten(2).transpose(1, 2) if site.layout == "NCHW" else seen[0].reshape(2, -1, site.width)
    (expected,) = torch.autograd.grad(raw.square().mean(), batch)
    with Tap(backbone, [site]) as tap:
        found = tap(batch)[site.name]
    (gradient,) = torch.autograd.grad(found.square().mean(), batch)
    torch.testing.assert_close(found, raw)
    torch.testing.assert_close(gradient, expected)
    assert full.shape == (2, 1000) or name.startswith("eva")


def test_nothing_after_the_deepest_site_runs(backbone: Backbone) -> None:
    ran: list[str] = []
    handles = [
        backbone.model.get_submodule(path).register_forward_hook(lambda m, a, o, p=path: ran.append(p))
        for path in ("blocks.0.attn", "blocks.0.mlp.fc2", "blocks.1.norm1")
    ]
    with Tap(backbone, ["blocks.0.q", "blocks.0.mlp"]) as tap:
        read = tap(images(backbone))
    for handle in handles:
        handle.remove()
    assert ran == ["blocks.0.attn"] and list(read) == ["blocks.0.q", "blocks.0.mlp"]


def test_visitor_sees_each_site_in_turn_and_the_tap_keeps_what_it_returns(backbone: Backbone) -> None:
    batch, names = images(backbone), ["blocks.0.q", "blocks.0.mlp", "blocks.1.block"]
    with torch.no_grad(), Tap(backbone, names) as tap:
        expected = tap(batch)
        visited: list[str] = []
        found = tap(batch, lambda site, value: (visited.append(site.name), value.mean(1))[1])
        again = tap(batch)
    assert visited == names == list(found)
    for name in names:
        assert torch.equal(found[name], expected[name].mean(1)) and torch.equal(again[name], expected[name])
    with pytest.raises(ZeroDivisionError), Tap(backbone, names) as tap:
        tap(batch, lambda site, value: 1 / 0)
    with torch.no_grad(), Tap(backbone, names[:1]) as tap:
        assert torch.equal(tap(batch)[names[0]], expected[names[0]]), "a visitor that failed is forgotten"


def test_hooks_are_gone_after_success_and_after_exceptions(backbone: Backbone) -> None:
    before = hooks(backbone)
    tap = Tap(backbone, ["blocks.1.mlp", "blocks.0.k"])
    assert hooks(backbone) == before, "building a tap adds no hook"
    with tap:
        tap(images(backbone))
    assert hooks(backbone) == before
    with pytest.raises(ZeroDivisionError), tap:
        raise ZeroDivisionError
    assert hooks(backbone) == before
    with pytest.raises((RuntimeError, AssertionError)), tap:
        tap(torch.rand(1, 4, 64, 64))  # four channels
    assert hooks(backbone) == before
    with pytest.raises(RuntimeError, match="with Tap"):
        tap(images(backbone))


def saved_bytes(backbone: Backbone, site: str) -> int:
    total = 0

    def pack(tensor: Tensor) -> Tensor:
        nonlocal total
        total += 0 if isinstance(tensor, nn.Parameter) else tensor.numel() * tensor.element_size()
        return tensor

    batch = images(backbone)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), Tap(backbone, [site]) as tap:
        tap(batch)
    return total


def test_memory_for_backward_grows_with_depth() -> None:
    backbone = build("cait_xxs24_224")
    blocks = [site.name for site in backbone.sites.values() if site.kind == "block"]
    assert saved_bytes(backbone, blocks[0]) < 0.5 * saved_bytes(backbone, blocks[-1])


def test_parameters_get_no_gradient(backbone: Backbone) -> None:
    batch = images(backbone)
    with Tap(backbone, ["blocks.1.mlp"]) as tap:
        tap(batch)["blocks.1.mlp"].mean().backward()
    assert batch.grad is not None
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in backbone.parameters())


def test_autocast_returns_float32_close_to_float32(backbone: Backbone) -> None:
    batch = images(backbone)
    with Tap(backbone, ["blocks.0.mlp"]) as tap:
        exact = tap(batch)["blocks.0.mlp"]
        with torch.autocast("cpu", torch.bfloat16):
            rough = tap(batch)["blocks.0.mlp"]
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, exact, atol=0.05, rtol=0.05)
    assert not torch.equal(rough, exact)


def test_values_before_an_activation_survive_what_the_model_does_later() -> None:
    backbone = build("resnet18")
    with Tap(
        backbone, ["layer1.0.bn2", "layer1.0.block"]
    ) as tap:  # the block adds its shortcut to bn2's output in place
        both = tap(images(backbone))
    with Tap(backbone, ["layer1.0.bn2"]) as tap:
        alone = tap(images(backbone))
    torch.testing.assert_close(both["layer1.0.bn2"], alone["layer1.0.bn2"])


def test_train_leaves_the_backbone_in_eval_mode(backbone: Backbone) -> None:
    backbone.train()
    assert not any(module.training for module in backbone.modules())


def test_normalisation_is_inside_and_images_are_in_0_1() -> None:
    backbone = build("resnet18")
    white = torch.ones(1, 3, 1, 1)
    expected = (1 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(backbone.normalize(white).flatten(), expected)


def test_an_unknown_site_names_the_nearest(backbone: Backbone) -> None:
    with pytest.raises(VitvisError, match=r"no site 'blocks.1.mpl'.*did you mean 'blocks.1.mlp'\?"):
        Tap(backbone, ["blocks.1.mpl"])
    with pytest.raises(VitvisError, match=r"never calls this submodule.*sites that can"):
        Tap(backbone, ["blocks.0.attn.attn_drop"])
