"""The speed benchmark: its loop is the paper's recipe, its FLOPs are right, it runs."""

from __future__ import annotations

import json
import sys

import pytest
import torch

from vitvis.backbones import load_backbone
from vitvis.fit.regularizers import paper_tv


@pytest.fixture(scope="module", autouse=True)
def path(root):
    sys.path.insert(0, str(root / "benchmarks"))
    yield
    sys.path.remove(str(root / "benchmarks"))


@pytest.fixture(scope="module")
def vit():
    torch.manual_seed(0)
    return load_backbone("vit_tiny_patch16_224", "none", 32, depth=3, embed_dim=48, num_heads=3, patch_size=8)


def test_the_loops_total_variation_is_the_recipes() -> None:
    from speed_loop import total_variation

    images = torch.rand(5, 3, 20, 24)
    assert total_variation(images).item() == pytest.approx(paper_tv(images).mean().item(), rel=1e-5)


def test_the_loops_copies_are_the_papers() -> None:
    from speed_loop import augment

    torch.manual_seed(0)
    first = torch.cat([augment(torch.full((1, 3, 8, 8), 0.5), 0, 400) for _ in range(300)])
    last = torch.cat([augment(torch.full((1, 3, 8, 8), 0.5), 400, 400) for _ in range(300)])
    assert first.shape == (2400, 3, 8, 8) and (first == first[..., :1, :1]).all()  # one value a copy and channel
    # of (x - mu) / sigma: mean = x E[1/sigma], with E[1/sigma] = sinh(1); the noise of the first step adds 0.5 ** 2
    values = last[..., 0, 0]
    assert values.mean().item() == pytest.approx(0.5 * 1.1752, abs=0.05)
    assert (first[..., 0, 0].var() - values.var()).item() == pytest.approx(0.25, abs=0.15)


def test_the_loop_climbs_in_the_image_alone_and_runs_the_whole_model(vit, monkeypatch) -> None:
    import speed_loop
    from speed_loop import Target, plain_loop

    monkeypatch.setattr(speed_loop, "TV_WEIGHT", 0.0)  # it outweighs a random unit
    monkeypatch.setattr(speed_loop, "augment", lambda image, step, steps, copies: image.repeat(copies, 1, 1, 1))

    ends, target = [], Target(vit.model.blocks[1].mlp.act, 7, 1)
    handle = vit.model.head.register_forward_hook(lambda *_: ends.append(1))
    vit.model.requires_grad_(True)
    before = {name: value.clone() for name, value in vit.state_dict().items()}

    def activation(image):
        kept = {}
        inner = vit.model.blocks[1].mlp.act.register_forward_hook(lambda m, a, output: kept.update(value=output))
        with torch.no_grad():
            vit(image)
        inner.remove()
        return kept["value"][0, 1:, 7].mean().item()

    try:
        images = [image.clone() for image in plain_loop(vit.model, target, (32, 32), vit.mean, vit.std, steps=60)]
        assert len(ends) == 60 and vit.model.blocks[0].attn.qkv.weight.grad is not None
    finally:
        handle.remove()
        vit.model.requires_grad_(False)
        for parameter in vit.model.parameters():
            parameter.grad = None
    assert activation(images[-1]) > activation(images[0]) + 0.02
    assert all(0 <= image.min() and image.max() <= 1 for image in images)
    assert all(torch.equal(before[name], value) for name, value in vit.state_dict().items())
    assert not vit.model.blocks[1].mlp.act._forward_hooks


@pytest.mark.parametrize("block", [0, 2])
def test_flops_counted_are_those_of_the_closed_form(vit, block) -> None:
    from speed_rates import count_flops, vit_step_flops

    from vitvis.backbones import parse_units
    from vitvis.fit import ActivationMaximization, plan_chunks
    from vitvis.fit.timing import bare_steps

    chunk = plan_chunks(parse_units(f"blocks.{block}.mlp:0-1", vit.sites), [0], vit.sites, 2)[0]
    module = ActivationMaximization(vit, {"copies": 3, "steps": 4, "augment": {"affine": None}})
    steps = bare_steps(module, chunk)
    next(steps)  # looks for the short way, with an image of its own
    found = count_flops(lambda: next(steps))
    expected = 2 * 3 * vit_step_flops(17, 48, 192, 8, block)
    colours = 2 * 2 * 2 * 3 * 3 * 32 * 32  # a convolution of two images by 3 x 3 numbers, there and back
    assert found == expected + colours


def test_the_rate_of_matrix_products_is_a_rate() -> None:
    from speed_rates import matmul_rate

    assert 1e7 < matmul_rate(torch.device("cpu"), torch.float32, side=64, repeats=2) < 1e14


def test_the_benchmark_leaves_json_and_a_plot(tmp_path, capsys) -> None:
    import speed

    argv = ["--model", "test_vit", "--weights", "none", "--image-size", "32", "--depths", "0,3", "--units", "1"]
    argv += ["--arms", "a,b,c16", "--timed", "1", "--chunk", "2", "--out", str(tmp_path)]
    assert speed.main(argv) == 0
    result = json.loads((tmp_path / "speed.json").read_text())
    assert {(cell["arm"], cell["depth"]) for cell in result["cells"]} == {
        (a, d) for a in ("a", "b", "c16") for d in (0, 3)
    }
    for cell in result["cells"]:
        assert cell["unit_seconds"] == pytest.approx((cell["step"] * cell["steps"] + cell["around"]) / cell["images"])
        assert 0 < cell["flops"] and 0 < cell["share"]
    rows = result["summary"]
    assert rows["a"]["ratio"] == pytest.approx(1) and rows["c16"]["ratio"] > 0
    assert (tmp_path / "speed.png").stat().st_size > 5000
    assert "| arm | site |" in capsys.readouterr().out
