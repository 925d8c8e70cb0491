"""Objective and measures against slow loops and closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from vitvis.backbones import Tap, parse_units
from vitvis.fit.measure import hf_share, measure_firing, rank_of
from vitvis.fit.objective import Objective, strongest
from vitvis.fit.schedule import rate_factor
from vitvis.fit.settings import ObjectiveSettings


def read(backbone, site: str, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad(), Tap(backbone, [site]) as tap:
        return tap(images)[site]


def test_each_image_reads_its_own_unit_without_the_class_token(backbone) -> None:
    units = parse_units(["blocks.1.mlp:3,7", "-blocks.1.mlp:9"], backbone.sites)
    objective = Objective(
        backbone.site("blocks.1.mlp"), units, backbone.sites, ObjectiveSettings(pre=0, share=1.0, share_end=None)
    )
    images = torch.rand(6, 3, 32, 32)
    activations = read(backbone, "blocks.1.mlp", images)
    values = objective(activations, 0.0)
    for u, unit in enumerate(units):
        for a in range(2):
            expected = unit.sign * float(activations[2 * u + a, 1:, unit.index].mean())
            assert float(values[u, a]) == pytest.approx(expected, abs=1e-6)


def test_pre_activation_first_then_the_activation(backbone) -> None:
    units = parse_units(["blocks.1.mlp:3"], backbone.sites)
    objective = Objective(backbone.site("blocks.1.mlp"), units, backbone.sites, ObjectiveSettings(pre=0.5))
    assert objective.site_at(0.49).name == "blocks.1.mlp_pre" and objective.site_at(0.5).name == "blocks.1.mlp"
    block = Objective(
        backbone.site("blocks.1.block"), parse_units(["blocks.1.block:3"], backbone.sites), backbone.sites,
        ObjectiveSettings(pre=1),
    )  # fmt: skip
    assert block.site_at(0).name == "blocks.1.block"


def test_directions_dot_and_cosine(backbone, tmp_path) -> None:
    import numpy

    rows = numpy.random.default_rng(0).normal(size=(2, 48)).astype("float32")
    numpy.save(tmp_path / "d.npy", rows)
    units = parse_units([f"blocks.0.block@{tmp_path / 'd.npy'}:0-1"], backbone.sites)
    images = torch.rand(2, 3, 32, 32)
    activations = read(backbone, "blocks.0.block", images)
    for measure in ("dot", "cosine"):
        settings = ObjectiveSettings(measure=measure, share=1.0, share_end=None)
        values = Objective(backbone.site("blocks.0.block"), units, backbone.sites, settings)(activations, 0.0)
        for u in range(2):
            direction, tokens = torch.from_numpy(rows[u]), activations[u, 1:]
            slow = [
                float(t @ direction) / (float(t.norm() * direction.norm()) if measure == "cosine" else 1)
                for t in tokens
            ]
            assert float(values[u, 0]) == pytest.approx(sum(slow) / len(slow), rel=1e-4)


@pytest.mark.parametrize(
    ("share", "tokens", "count"), [(0.1, 49, 5), (0.1, 30, 3), (0.0, 9, 1), (1.0, 9, 9), (0.5, 4, 2)]
)
def test_strongest_share_is_the_mean_of_a_sorted_list(share, tokens, count) -> None:
    values = torch.rand(2, tokens, generator=torch.Generator().manual_seed(tokens))
    slow = [sum(sorted(row.tolist(), reverse=True)[:count]) / count for row in values]
    assert strongest(values, share).tolist() == pytest.approx(slow)


def test_share_moves_in_a_line(backbone) -> None:
    units = parse_units(["blocks.1.mlp:3"], backbone.sites)
    settings = ObjectiveSettings(share=0.1, share_end=0.5)
    objective = Objective(backbone.site("blocks.1.mlp"), units, backbone.sites, settings)
    assert [objective.share_at(p) for p in (0, 0.5, 1)] == pytest.approx([0.1, 0.3, 0.5])


def test_hf_share_of_known_images() -> None:
    rows = torch.arange(64.0)
    slow = torch.sin(2 * math.pi * rows * 8 / 64).expand(1, 3, 64, 64)  # 0.125 cycles a pixel
    fast = torch.sin(2 * math.pi * rows * 24 / 64).expand(1, 3, 64, 64)  # 0.375
    white = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    assert float(hf_share(slow + 5)) == pytest.approx(0, abs=1e-5)
    assert float(hf_share(fast)) == pytest.approx(1, abs=1e-5)
    assert float(hf_share(3 * slow + fast)) == pytest.approx(0.1, abs=1e-4)
    assert float(hf_share(white)) == pytest.approx(1 - math.pi / 16, abs=0.01)
    assert float(hf_share(torch.full((1, 3, 8, 8), 0.3))) == 0


def test_rank_counts_who_fires_more() -> None:
    others = torch.tensor([[1.0, 5.0, 3.0], [1.0, 5.0, 3.0]])
    assert rank_of(torch.tensor([5.0, 1.0]), others).tolist() == [1, 3]


def test_firing_is_what_the_model_says(backbone) -> None:
    site, units = backbone.site("blocks.1.mlp"), parse_units(["blocks.1.mlp:3,7"], backbone.sites)
    images = torch.rand(2, 3, 32, 32)
    firing = measure_firing(backbone, images, site, units, batch=1)
    after, before = read(backbone, "blocks.1.mlp", images), read(backbone, "blocks.1.mlp_pre", images)
    for u, unit in enumerate(units):
        means = after[u, 1:].mean(dim=0)
        assert float(firing.mean[u]) == pytest.approx(float(means[unit.index]), abs=1e-6)
        assert float(firing.pre[u]) == pytest.approx(float(before[u, 1:, unit.index].mean()), abs=1e-6)
        assert float(firing.peak[u]) == pytest.approx(
            float(after[u, 1:, unit.index].sort().values[-2:].mean()), abs=1e-6
        )
        assert int(firing.rank[u]) == sorted(means.tolist(), reverse=True).index(float(means[unit.index])) + 1


def test_cosine_schedule() -> None:
    assert [rate_factor("cosine", p) for p in (0, 0.5, 1)] == pytest.approx([1, 0.5, 0])
    assert rate_factor("constant", 0.9) == 1
