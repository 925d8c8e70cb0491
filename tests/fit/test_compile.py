"""Compiled blocks: the same images, early exit and all, from a handful of graphs without a break."""

from __future__ import annotations

import os

import pytest
import torch

from vitvis.fit.compile import compiled_blocks, repeated_blocks


def test_blocks_behind_and_around_the_site_are_left_alone(backbone, monkeypatch) -> None:
    blocks = dict(repeated_blocks(backbone.model))
    assert {"blocks.0", "blocks.1"} <= set(blocks)
    ran: list[object] = []

    def pretend(function, **options):
        return lambda *args: (ran.append(function.__self__), function(*args))[1]

    monkeypatch.setattr(torch, "compile", pretend)
    images = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        with compiled_blocks(backbone, backbone.site("blocks.1.mlp")):
            inside = backbone(images)
        assert blocks["blocks.0"] in ran and blocks["blocks.1"] not in ran
        ran.clear()
        torch.testing.assert_close(backbone(images), inside)
    assert ran == []


@pytest.mark.slow
@pytest.mark.skipif(
    os.environ.get("ATEN_CPU_CAPABILITY") == "default",
    reason="with ATEN_CPU_CAPABILITY=default inductor writes vectors that torch's own headers leave out",
)
def test_compiling_changes_no_image_and_breaks_no_graph(fit, backbone) -> None:
    from torch._dynamo.utils import counters

    torch._dynamo.reset()
    counters.clear()
    recipe = {"steps": 3, "copies": 2}
    compiled = recipe | {"trainer": {"compile": True}}
    _, plain, rows = fit("blocks.1.mlp:2,5", recipe, size=1)
    _, fast, again = fit("blocks.1.mlp:2,5", compiled, size=1)  # two chunks of one site
    for key, image in plain.items():
        torch.testing.assert_close(fast[key], image, atol=2e-3, rtol=0)
        assert again[key]["activation"] == pytest.approx(rows[key]["activation"], rel=1e-2, abs=1e-3)
    assert sum(counters["graph_break"].values()) == 0, counters["graph_break"]
    # one graph for steps, with gradients, and one for each size of batch that is only measured
    assert 1 <= counters["stats"]["unique_graphs"] <= 4
    assert not any("forward" in vars(block) for block in repeated_blocks(backbone.model).values())
