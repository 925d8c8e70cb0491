"""Small changes of pictures: that they are the ones named, and what is counted as left."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from vitvis.backbones import load_backbone, parse_units
from vitvis.fit.measure import measure_firing
from vitvis.judge.sturdiness import CHANGES, change, kept_share, read_activation, sturdiness


def waves(size: int = 64) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(size) / size, torch.arange(size) / size, indexing="ij")
    return (0.5 + 0.4 * torch.sin(6 * math.pi * x) * torch.cos(4 * math.pi * y)).expand(2, 3, -1, -1)


def test_changes_move_turn_and_zoom_as_scipy_does() -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    image = waves()
    plane = image[0, 0].double().numpy()
    inner = (slice(12, -12), slice(12, -12))
    shifted = change(image, "shift")[0, 0].numpy()
    assert shifted[inner] == pytest.approx(ndimage.shift(plane, (-4, -4), order=1)[inner], abs=1e-4)
    turned = change(image, "turn")[0, 0].numpy()
    ways = [ndimage.rotate(plane, degrees, reshape=False, order=1)[inner] for degrees in (8, -8)]
    assert min(np.abs(turned[inner] - way).max() for way in ways) < 1e-3
    centre = (64 - 1) / 2
    zoomed = ndimage.affine_transform(plane, np.eye(2) / 1.15, offset=centre - centre / 1.15, order=1)
    assert change(image, "zoom")[0, 0].numpy()[inner] == pytest.approx(zoomed[inner], abs=1e-3)
    blurred = ndimage.gaussian_filter(plane, 1.0, truncate=3.0)
    assert change(image, "blur")[0, 0].numpy()[inner] == pytest.approx(blurred[inner], abs=1e-4)


def test_jpeg_and_bf16_stay_near_the_picture() -> None:
    image = waves()
    coded = change(image, "jpeg")
    assert 0 < (coded - image).abs().max() < 0.2
    assert torch.equal(change(image, "bf16"), image)
    assert all(change(image, name).shape == image.shape for name in CHANGES)
    with pytest.raises(ValueError, match="no change"):
        change(image, "melt")


def test_what_is_left_is_measured_from_a_grey_image() -> None:
    changed, clean, nothing = (
        torch.tensor([3.0, 9.0, 1.0, 5.0]),
        torch.tensor([4.0, 6.0, 6.0, 1.0]),
        torch.full((4,), 2.0),
    )
    found = kept_share(changed, clean, nothing)
    assert found[:3].tolist() == [0.5, 1.0, 0.0] and math.isnan(found[3])


def test_activation_is_that_of_a_record_and_a_fragile_pattern_loses_it() -> None:
    """Against `measure_firing`; and one pixel step towards a unit, made by bare gradient ascent, does not survive."""
    backbone = load_backbone("vitvis_vit")
    site = backbone.site("blocks.6.mlp")
    units = parse_units(["blocks.6.mlp:3", "-blocks.6.mlp:5"], backbone.sites)
    image = waves().clone()
    expected = measure_firing(backbone, image, site, units).mean
    assert read_activation(backbone, image, site, units).numpy() == pytest.approx(expected.numpy(), abs=1e-5)
    one = read_activation(backbone, image[:1], site, units)  # both units on one image
    assert one.numpy() == pytest.approx(expected.numpy(), abs=1e-5)
    found = sturdiness(backbone, image, site, units)
    assert set(found) == set(CHANGES) and all(value.shape == (2,) for value in found.values())
