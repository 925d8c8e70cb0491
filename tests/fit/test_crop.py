"""Crops: against torch's own antialiased resizing, a slow loop, and what the draws promise."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from vitvis.config.core import merge
from vitvis.errors import VitvisError
from vitvis.fit.augmentations import make_augmentations
from vitvis.fit.augmentations.crop import resample, resample_matrix
from vitvis.fit.settings import AugmentSettings, CropSettings, FitSettings


def pictures(rows: int, columns: int) -> torch.Tensor:
    return torch.rand(2, 3, rows, columns, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize(("source", "target"), [((40, 30), (16, 12)), ((16, 20), (40, 44)), ((24, 24), (24, 24))])
def test_the_whole_image_is_resized_as_torch_does(source, target) -> None:
    images = pictures(*source)
    matrices = [
        resample_matrix(torch.tensor(0.0), torch.tensor(float(a)), a, b).double()
        for a, b in zip(source, target, strict=True)
    ]
    expected = functional.interpolate(images, target, mode="bicubic", antialias=True, align_corners=False)
    torch.testing.assert_close(resample(images, *matrices), expected, atol=1e-5, rtol=0)


def test_a_box_is_what_torch_makes_of_it_away_from_its_border() -> None:
    images = pictures(48, 48)
    start, length = torch.tensor(8.0), torch.tensor(32.0)
    matrix = resample_matrix(start, length, 48, 16).double()
    expected = functional.interpolate(images[..., 8:40, 8:40], (16, 16), mode="bicubic", antialias=True)
    # torch cuts the kernel off at the border of the box, the matrix goes on into the image: 2 px of the result differ
    torch.testing.assert_close(resample(images, matrix, matrix)[..., 2:-2, 2:-2], expected[..., 2:-2, 2:-2],
                               atol=1e-5, rtol=0)  # fmt: skip


def test_a_piece_between_pixels_against_a_slow_loop() -> None:
    start, length, source, target = 3.3, 9.1, 16, 5
    matrix = resample_matrix(torch.tensor(start), torch.tensor(length), source, target)
    scale = length / target
    for i in range(target):
        weights = []
        for j in range(source):
            x = abs((j + 0.5 - start - (i + 0.5) * scale) / scale)
            near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
            weights.append(near if x < 1 else far if x < 2 else 0.0)
        torch.testing.assert_close(matrix[i], torch.tensor(weights) / sum(weights), atol=1e-5, rtol=0)


def test_a_smaller_box_of_a_fine_stripe_has_no_aliases() -> None:
    stripe = torch.sin(torch.arange(96) * torch.pi * 0.9).expand(1, 3, 96, 96)  # near Nyquist: gone at a third
    matrix = resample_matrix(torch.tensor(0.0), torch.tensor(96.0), 96, 32)
    assert resample(stripe, matrix, matrix)[..., 2:-2].abs().max() < 0.03
    assert stripe[..., 1::3].abs().max() > 0.9  # what taking every third pixel would leave


def test_boxes_are_inside_and_as_large_as_asked_for() -> None:
    settings = AugmentSettings(crop=CropSettings(smallest=0.2, largest=0.6, spread=0.5), affine=None, noise=None)
    pipeline = make_augmentations(settings, 200, size=(8, 8))
    rows = torch.linspace(0, 1, 40)[:, None].expand(40, 40)
    image = torch.stack([rows, rows.T, torch.zeros(40, 40)])[None]
    copies = pipeline.apply(image, pipeline.draw([0], 0, 0.0, (8, 8)))
    assert copies.shape == (200, 3, 8, 8)
    sides = (copies[:, 0, -1, 3] - copies[:, 0, 0, 3]) * 8 / 7
    assert 0.19 < sides.min() < 0.22 and 0.58 < sides.max() < 0.62
    assert copies.min() > -0.02 and copies.max() < 1.02
    torch.testing.assert_close(copies[:, 1, 3, -1] - copies[:, 1, 3, 0], copies[:, 0, -1, 3] - copies[:, 0, 0, 3],
                               atol=0.03, rtol=0)  # fmt: skip


@pytest.mark.parametrize("depth", [0.0, 0.5, 1.0])
def test_boxes_shrink_with_depth(depth) -> None:
    settings = AugmentSettings(crop=CropSettings(smallest=0.2, largest=0.2), affine=None, noise=None)
    pipeline = make_augmentations(settings, 1, depth)
    rows = torch.linspace(0, 1, 41)[:, None].expand(1, 3, 41, 41)
    copy = pipeline.apply(rows, pipeline.draw([0], 0, 0.0, (41, 41)))
    span = float(copy[0, 0, -2, 20] - copy[0, 0, 1, 20]) * 40 / 38
    assert span == pytest.approx(1 - 0.8 * depth, abs=0.03)


def test_a_box_that_cannot_be_is_an_error_when_settings_are_read() -> None:
    with pytest.raises(VitvisError, match=r"augment.crop.smallest=0.5: is above"):
        merge(FitSettings, ["augment.crop.smallest=0.5", "augment.crop.largest=0.4"])
