"""Compiled blocks: the same images, early exit and all, from a handful of graphs without a break."""

from __future__ import annotations

import pytest
import torch

from vitvis.fit.compile import compiled_blocks, repeated_blocks


def test_blocks_behind_and_around_the_site_are_left_alone(backbone) -> None:
    blocks = dict(repeated_blocks(backbone.model))
    assert {"blocks.0", "blocks.1"} <= set(blocks)
    with compiled_blocks(backbone, backbone.site("blocks.1.mlp")):
        assert blocks["blocks.0"]._compiled_call_impl is not None
        assert blocks["blocks.1"]._compiled_call_impl is None
    assert all(block._compiled_call_impl is None for block in blocks.values())


@pytest.mark.slow
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
    assert all(block._compiled_call_impl is None for block in repeated_blocks(backbone.model).values())
