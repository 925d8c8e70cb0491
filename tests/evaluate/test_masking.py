from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vitvis.errors import VitvisError
from vitvis.evaluate.masking import FILLS, apply_mask, variant_names

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=12)


@settings(max_examples=30, deadline=None)
@given(data=st.data(), shape=SHAPES, seed=st.integers(0, 99))
@pytest.mark.parametrize("fill", FILLS)
def test_foreground_and_background_are_complements_to_the_pixel(fill, data, shape, seed):
    image = np.random.default_rng(seed).integers(1, 256, (*shape, 3), dtype=np.uint8)
    mask = data.draw(hnp.arrays(bool, shape))
    front, back = (apply_mask(image, mask, variant, fill, seed=seed) for variant in ("foreground", "background"))
    for y in range(shape[0]):  # the slow, obvious way
        for x in range(shape[1]):
            kept, other = (front, back) if mask[y, x] else (back, front)
            assert (kept[y, x] == image[y, x]).all()
            if fill == "black":
                assert (other[y, x] == 0).all()


def test_black_variants_add_up_to_the_image():
    rng = np.random.default_rng(0)
    image, mask = rng.integers(0, 256, (9, 7, 3), dtype=np.uint8), rng.random((9, 7)) > 0.5
    total = apply_mask(image, mask, "foreground").astype(int) + apply_mask(image, mask, "background")
    assert (total == image).all()


def test_the_image_itself_is_never_changed():
    image, mask = np.full((6, 6, 3), 200, np.uint8), np.eye(6, dtype=bool)
    for fill in FILLS:
        for variant in ("full", "foreground", "background"):
            apply_mask(image, mask, variant, fill)
    assert (image == 200).all()


def test_fills_put_what_they_say():
    image, mask = np.full((40, 40, 3), 120, np.uint8), np.zeros((40, 40), bool)
    image[..., 1] = 30
    mask[10:20, 10:20] = True
    hole = (slice(10, 20), slice(10, 20))
    mean = apply_mask(image, mask, "background", "mean", mean=(0.2, 0.4, 0.6))[hole]
    assert (mean == [51, 102, 153]).all()
    grown = apply_mask(image, mask, "background", "inpaint")[hole].astype(int)  # the rest, grown inwards
    assert np.abs(grown - [120, 30, 120]).max() <= 4  # OpenCV dithers
    assert (apply_mask(image, mask, "background", "blur")[hole] == [120, 30, 120]).all()
    noise = apply_mask(image, mask, "background", "noise", seed=(1, 2))[hole]
    assert noise.std() > 50
    assert (noise == apply_mask(image, mask, "background", "noise", seed=(1, 2))[hole]).all()
    assert (noise != apply_mask(image, mask, "background", "noise", seed=(1, 3))[hole]).any()


def test_inpainting_nothing_but_a_hole_is_black():
    image = np.full((8, 8, 3), 99, np.uint8)
    assert (apply_mask(image, np.ones((8, 8), bool), "background", "inpaint") == 0).all()


def test_names_of_variants():
    names = variant_names(["full", "foreground", "background"], ["black", "mean"])
    assert names == ["full", "foreground/black", "background/black", "foreground/mean", "background/mean"]


def test_unknown_fill_names_the_nearest():
    with pytest.raises(VitvisError, match="did you mean 'black'"):
        apply_mask(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), bool), "foreground", "blak")
