"""Loading, discovery and reading are the same in whatever context the caller is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from tests.backbones.test_architectures import build
from vitvis.backbones import Backbone, Tap, load_backbone

NAME, SITE = "swin_tiny_patch4_window7_224", "layers.0.blocks.1.q"  # shifted windows are traced with numbered tokens


@contextmanager
def float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


CONTEXTS = {
    "inference mode": torch.inference_mode,
    "no gradients": torch.no_grad,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "float64 by default": float64,
    "meta device by default": lambda: torch.device("meta"),
}


@pytest.fixture(scope="module")
def plain() -> Backbone:
    return build(NAME)


def read(backbone: Backbone) -> tuple[torch.Tensor, torch.Tensor]:
    """Activation and gradient, outside of all contexts."""
    images = torch.rand(1, 3, 112, 112, generator=torch.Generator().manual_seed(1)).requires_grad_()
    with Tap(backbone, [SITE]) as tap:
        found = tap(images)[SITE]
    (gradient,) = torch.autograd.grad(found.square().sum(), images)
    return found.detach(), gradient


@pytest.mark.parametrize("context", CONTEXTS)
def test_a_backbone_loaded_anywhere_is_the_same(context: str, plain: Backbone) -> None:
    with CONTEXTS[context](), pytest.warns(UserWarning, match="random"):
        backbone = load_backbone(NAME, "none", 112, depths=(2, 2, 1, 1), embed_dim=24)
        grids = {name: (site.grid, site.width) for name, site in backbone.sites.items()}
    assert grids == {name: (site.grid, site.width) for name, site in plain.sites.items()}
    backbone.load_state_dict(plain.state_dict())
    for found, expected in zip(read(backbone), read(plain), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("context", ["inference mode", "no gradients", "float64 by default"])
def test_a_tap_reads_the_same_values(context: str, plain: Backbone) -> None:
    expected, _ = read(plain)
    images = torch.rand(1, 3, 112, 112, generator=torch.Generator().manual_seed(1))
    with CONTEXTS[context](), Tap(plain, [SITE, "layers.1.blocks.0.block"]) as tap:
        images = images.to(torch.get_default_dtype())
        found = tap(images)
        visited = tap(images, lambda site, value: value.clone())
    torch.testing.assert_close(found[SITE], expected)
    torch.testing.assert_close(visited[SITE], expected)


def test_a_tap_computes_in_the_precision_that_is_asked_for(plain: Backbone) -> None:
    expected, _ = read(plain)
    images = torch.rand(1, 3, 112, 112, generator=torch.Generator().manual_seed(1))
    with torch.no_grad(), Tap(plain, [SITE]) as tap, torch.autocast("cpu", torch.bfloat16):
        callers = tap(images)[SITE]
        exact = tap(images, dtype=torch.float32)[SITE]
    with torch.no_grad(), Tap(plain, [SITE]) as tap:
        rough = tap(images, dtype=torch.bfloat16)[SITE]
    assert torch.equal(exact, expected) and torch.equal(rough, callers)
    assert not torch.equal(callers, expected)


def test_other_passes_inside_a_tap_run_to_their_end(plain: Backbone) -> None:
    images = torch.rand(1, 3, 112, 112)
    with torch.no_grad(), Tap(plain, [SITE]) as tap:
        before = plain(images)
        tap(images)
        after = plain(images)
        with Tap(plain, ["layers.0.blocks.0.mlp"]) as inner:
            assert list(inner(images)) == ["layers.0.blocks.0.mlp"]
    assert before.shape == (1, 1000) and torch.equal(before, after)
