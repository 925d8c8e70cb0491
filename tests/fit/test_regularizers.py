"""Regularisers against slow loops, another library and a published figure."""

from __future__ import annotations

import math

import pytest
import torch

from vitvis.errors import VitvisError
from vitvis.fit.regularizers import (
    REGULARIZERS,
    chosen_regularizers,
    grey_distance,
    paper_tv,
    regularizer,
    total_variation,
)
from vitvis.fit.settings import RegularizeSettings


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def slow_tv(image: torch.Tensor) -> float:
    """The paper's formula, pixel by pixel."""
    channels, rows, columns = image.shape
    total = 0.0
    for c in range(channels):
        for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
            squares = 0.0
            for y in range(rows):
                for x in range(columns):
                    if 0 <= y + dy < rows and 0 <= x + dx < columns:
                        squares += float(image[c, y + dy, x + dx] - image[c, y, x]) ** 2
            total += math.sqrt(squares)
    return total / channels


def test_paper_tv_against_a_slow_loop() -> None:
    images = noise(2, 3, 6, 5)
    assert paper_tv(images).tolist() == pytest.approx([slow_tv(image) for image in images], rel=1e-5)


def test_paper_tv_of_noise_is_the_published_figure() -> None:
    assert float(paper_tv(noise(1, 3, 384, 384))) == pytest.approx(627, abs=2)


def test_paper_tvs_slope_is_the_one_of_finite_differences() -> None:
    images = noise(2, 3, 5, 6).double().requires_grad_(True)
    assert torch.autograd.gradcheck(paper_tv, (images,))


def test_paper_tv_has_no_slope_on_a_flat_image() -> None:
    flat = torch.full((1, 3, 4, 4), 0.5, requires_grad=True)
    paper_tv(flat).sum().backward()
    assert torch.equal(flat.grad, torch.zeros_like(flat))


def test_total_variation_against_torchmetrics() -> None:
    from torchmetrics.functional.image import total_variation as reference

    images = noise(3, 3, 8, 8)  # equal sides, so that both axes have equally many differences
    expected = reference(images, reduction="none") / (3 * 7 * 8)
    torch.testing.assert_close(total_variation(images), expected)


def test_grey_distance_of_uniform_noise() -> None:
    assert float(grey_distance(noise(1, 3, 200, 200))) == pytest.approx(1 / 12, rel=0.01)


@pytest.mark.parametrize("name", ["tv", "total_variation", "l2"])
def test_terms_are_for_each_image_alone(name) -> None:
    images, penalty = noise(3, 3, 8, 8), REGULARIZERS[name].penalty
    torch.testing.assert_close(penalty(images)[1:2], penalty(images[1:2]))
    assert penalty(images).shape == (3,)


def test_a_user_adds_one_in_five_lines(fit) -> None:
    @regularizer("darkness")
    def darkness(images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(1, 2, 3))

    try:
        recipe = {"steps": 12, "regularize": {"extra": {"darkness": 1000.0}}, "optim": {"lr": 0.5}}
        module, images, _ = fit("blocks.0.mlp:0", recipe)
        assert float(images[("blocks.0.mlp:0", 0)].mean()) < 0.4
        assert "loss/darkness" in module.trainer.callback_metrics
    finally:
        REGULARIZERS.remove("darkness")


def test_zero_weights_cost_nothing_and_strangers_are_named() -> None:
    assert chosen_regularizers(RegularizeSettings(tv=0.5)).keys() == {"tv"}
    with pytest.raises(VitvisError, match="did you mean 'total_variation'"):
        chosen_regularizers(RegularizeSettings(extra={"total_variatoin": 1.0}))
    with pytest.raises(VitvisError, match="write regularize.tv"):
        chosen_regularizers(RegularizeSettings(extra={"tv": 1.0}))
