"""What the findings measure, against closed forms and slow loops."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from vitvis.backbones import Backbone, parse_units
from vitvis.findings.finding import sign_of, verdict_of
from vitvis.findings.intervals import difference, mean
from vitvis.findings.judging import surest
from vitvis.findings.measures import (
    bits_per_pixel,
    box_share,
    chance_of_same,
    following,
    frequencies_used,
    gradient_energy,
    pointing,
    same_label,
    spread,
    square_side,
)


def grey(values: np.ndarray) -> Image.Image:
    return Image.fromarray(values.round().clip(0, 255).astype(np.uint8))


def test_a_grating_uses_two_frequencies_and_white_noise_about_two_thirds() -> None:
    across = np.arange(64) / 64
    grating = 127.5 + 100 * np.cos(2 * np.pi * 5 * across)[None, :] * np.ones((64, 1))
    assert frequencies_used(grey(grating)) == pytest.approx(2 / (64 * 64 - 1), rel=0.02)  # 8 bits add a little
    noise = np.random.default_rng(0).normal(127.5, 30, (64, 64))
    assert frequencies_used(grey(noise)) == pytest.approx(math.exp(np.euler_gamma - 1), rel=0.03)
    assert frequencies_used(grey(np.full((64, 64), 90.0))) == 0


def test_a_flat_picture_costs_nothing_and_noise_most() -> None:
    smooth = grey(np.add.outer(np.arange(64), np.arange(64)) * 2.0).convert("RGB")
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8))
    flat = Image.new("RGB", (64, 64), (128, 128, 128))
    assert bits_per_pixel(flat) == 0 < bits_per_pixel(smooth) < 1 < 5 < bits_per_pixel(noise)


def test_same_label_is_the_share_of_pairs() -> None:
    labels = list("aabbbcd")
    pairs = list(itertools.combinations(labels, 2))
    assert same_label(labels) == pytest.approx(sum(one == other for one, other in pairs) / len(pairs))
    assert same_label("aaaa") == 1 and same_label("abcd") == 0 and math.isnan(same_label("a"))


def test_photos_drawn_at_random_have_the_chance_of_same_label_on_average() -> None:
    data = np.repeat(np.arange(20), [5] * 19 + [105])  # one class is common
    draw = np.random.default_rng(0)
    found = np.mean([same_label(draw.choice(data, 20, replace=False).tolist()) for _ in range(2000)])
    assert found == pytest.approx(chance_of_same([5] * 19 + [105]), rel=0.03)
    assert chance_of_same([50] * 200) == pytest.approx(49 / 9999)


@pytest.mark.parametrize("centre", [(32.0, 32.0), (12.0, 20.0), (4.0, 60.0)])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_even_energy_has_the_square_of_its_share_wherever_the_patch_lies(
    centre: tuple[float, float], share: float
) -> None:
    assert square_side(np.ones((64, 64)), centre, share) == pytest.approx(64 * math.sqrt(share), rel=1e-6)


def test_the_square_is_that_of_a_slow_loop() -> None:
    energy = np.random.default_rng(1).random((24, 24)) ** 6
    centre, previous = (10.0, 7.0), 0.0
    for half in range(1, 25):  # squares whose borders lie between pixels
        top, left = max(0, 10 - half), max(0, 7 - half)
        inside = energy[top : 10 + half, left : 7 + half]
        side = square_side(energy, centre, float(inside.sum() / energy.sum()))
        assert side == pytest.approx(math.sqrt(inside.size), rel=1e-6) and side >= previous
        previous = side
    assert math.isnan(square_side(np.zeros((8, 8)), (4.0, 4.0)))


def test_box_share_counts_pixels() -> None:
    energy = np.zeros((64, 64))
    energy[10, 10], energy[60, 60] = 3, 1
    assert box_share(energy, (12.0, 12.0), 24) == (0.75, 0.140625)  # 24 of 64, squared
    assert box_share(np.ones((64, 64)), (4.0, 4.0), 24) == (1 / 16, 1 / 16)  # the corner cuts it to 16 x 16
    assert math.isnan(box_share(np.zeros((64, 64)), (4.0, 4.0), 24)[0])


def convolution(stride: int, size: int) -> Backbone:
    """A model of one known convolution, `0.conv`, whose unit 1 sums a window of `size` px in red."""
    conv = nn.Conv2d(3, 2, size, stride=stride, padding=(size - stride) // 2, bias=False)
    conv.weight.data.zero_()
    conv.weight.data[1, 0] = 2.0
    model = nn.Sequential()
    model.add_module("conv", conv)
    return Backbone(model, name="one", weights="none", weights_id="0" * 12, mean=(0, 0, 0), std=(1, 1, 1),
                    image_size=(32, 32))  # fmt: skip


def test_the_gradient_of_a_convolution_is_its_window() -> None:
    backbone = convolution(stride=4, size=12)
    site = backbone.site("conv")
    (unit,) = parse_units(["conv:1"], backbone.sites)
    token = 3 * 8 + 5  # row 3, column 5 of 8 x 8: px 12..16 and 20..24, with a window of 4 px around
    energy = gradient_energy(backbone, site, unit, torch.rand(2, 3, 32, 32), [token, 0])
    wanted = np.zeros((32, 32))
    wanted[8:20, 16:28] = 4
    np.testing.assert_allclose(energy[0], wanted)
    assert energy[1].nonzero()[0].max() == 7  # cut off at the border
    assert square_side(energy[0], (14.0, 22.0), 1.0) == pytest.approx(12, rel=1e-5)
    assert square_side(energy[0], (14.0, 22.0), 0.25) == pytest.approx(6, rel=1e-6)
    assert box_share(energy[0], (14.0, 22.0), 12)[0] == 1


def test_spread_is_the_share_of_patches_that_fire() -> None:
    one = np.full((8, 8), -1.0)
    one[2, 3] = 5
    assert spread(one) == pytest.approx(1 / 64) and spread(np.full((8, 8), 0.3)) == pytest.approx(1)
    half = np.zeros((8, 8))
    half[:4] = 2
    assert spread(half) == pytest.approx(0.5)
    assert math.isnan(spread(-np.ones((2, 2))))


def test_a_map_that_knows_nothing_points_at_the_object_as_often_as_its_area() -> None:
    inside = np.zeros((8, 8))
    inside[2:5, 3:7] = 1
    draw = np.random.default_rng(0)
    found = np.mean([pointing(draw.random((8, 8)), inside)[0] for _ in range(2000)])
    assert found == pytest.approx(12 / 64, rel=0.02)
    assert pointing(inside - 0.5, inside) == (1.0, 12 / 64)
    assert pointing(np.eye(8), np.full((8, 8), 0.5))[0] == pytest.approx(0.5)


def test_following_is_one_where_content_alone_decides_and_none_where_the_place_does() -> None:
    draw = np.random.default_rng(0)
    values = draw.random((8, 8))
    assert following(values, np.roll(values, (2, 0), axis=(0, 1)), (2, 0)) == pytest.approx(1)
    assert following(values, np.roll(values, (0, 2), axis=(0, 1)), (0, 2)) == pytest.approx(1)
    gaps = [following(one := draw.random((8, 8)), one, (2, 0)) for _ in range(500)]  # the map stays where it was
    assert abs(np.mean(gaps)) < 0.05
    assert math.isnan(following(np.ones((8, 8)), values, (1, 0)))


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution() -> None:
    values = np.random.default_rng(0).normal(-3, 2, 400)  # negative ones too
    found = mean(values.tolist(), samples=4000)
    half = 1.96 * values.std() / math.sqrt(400)
    assert found.n == 400 and found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.03)
    assert found.high == pytest.approx(values.mean() + half, abs=0.03)
    assert mean([math.nan, 2.0, 2.0]).text(1) == "2.0 [2.0, 2.0]" and mean([]).text() == "-"


def test_the_interval_of_a_difference_is_that_of_two_samples() -> None:
    draw = np.random.default_rng(1)
    first, second = draw.normal(5, 1, 300), draw.normal(4, 3, 200)
    found = difference(first.tolist(), second.tolist(), samples=4000)
    half = 1.96 * math.sqrt(first.var() / 300 + second.var() / 200)
    assert found.value == pytest.approx(first.mean() - second.mean())
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.08)
    assert math.isnan(difference([], [1.0]).value)


def test_a_judge_is_as_sure_as_its_softmax_says() -> None:
    """By a plain forward pass of the bundled ResNet, without eye, tap or findings."""
    from vitvis.backbones.eye import load_eye

    eye = load_eye("vitvis_resnet")
    images = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        scores = eye.backbone(images).numpy().astype(float)
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    assert surest(eye, images) == pytest.approx(powers.max(axis=1) / powers.sum(axis=1), rel=1e-4)


def test_verdicts() -> None:
    assert [sign_of(0.1, 0.2), sign_of(-0.1, 0.2), sign_of(-2, -1), sign_of(0.6, 0.7, 0.5)] == [1, 0, -1, 1]
    assert sign_of(math.nan, math.nan) == 0
    words = [verdict_of(signs, "x").partition(":")[0] for signs in ([1, 1], [1, 0], [1, -1], [0, 0], [0, -1])]
    assert words == ["agrees", "agrees in part", "mixed", "undecided", "disagrees"]
