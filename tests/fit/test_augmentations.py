"""Augmentations: drawn once for the copies, keyed, replayed on all images, and what each one does."""

from __future__ import annotations

import pytest
import torch

from vitvis.errors import VitvisError
from vitvis.fit.augmentations import Augmentations, make_augmentations
from vitvis.fit.augmentations.affine import affine_matrix
from vitvis.fit.settings import (
    AffineSettings,
    AugmentSettings,
    ColorSettings,
    CropSettings,
    NoiseSettings,
    ShiftSettings,
)

SIZE = (12, 10)
EVERY = {
    "affine": AugmentSettings(affine=AffineSettings(fade=None, least=0.0), noise=None),
    "shift": AugmentSettings(affine=None, noise=None, shift=ShiftSettings(pixels=4)),
    "shift-each": AugmentSettings(affine=None, noise=None, shift=ShiftSettings(pixels=4, shared=False)),
    "color": AugmentSettings(affine=None, noise=None, color=ColorSettings()),
    "noise": AugmentSettings(affine=None, noise=NoiseSettings(start=0.5, end=0.0)),
    "noise-channel": AugmentSettings(affine=None, noise=NoiseSettings(start=0.5, per="channel")),
    "crop": AugmentSettings(affine=None, noise=None, crop=CropSettings(smallest=0.5)),
    "kornia": AugmentSettings(affine=None, noise=None, kornia={"RandomGaussianBlur": {
        "kernel_size": [3, 3], "sigma": [0.1, 2.0], "p": 1.0}}),
    "kornia-p": AugmentSettings(affine=None, noise=None, kornia={"RandomGrayscale": {"p": 0.5}}),
}  # fmt: skip


def images(count: int = 3) -> torch.Tensor:
    return torch.rand(count, 3, *SIZE, generator=torch.Generator().manual_seed(0))


def run(pipeline: Augmentations, pictures: torch.Tensor, seeds: list[int], step: int = 2, progress: float = 0.5):
    copies = pipeline.apply(pictures, pipeline.draw(seeds, step, progress, SIZE))
    return copies.unflatten(0, (len(pictures), -1))


@pytest.mark.parametrize("name", EVERY)
def test_replay_is_the_same_alone_and_in_company(name) -> None:
    pipeline = make_augmentations(EVERY[name], 4)
    together = run(pipeline, images(), [0, 0, 1])
    assert together.shape == (3, 4, 3, *SIZE)
    for i, seed in enumerate([0, 0, 1]):
        torch.testing.assert_close(run(pipeline, images()[i : i + 1], [seed])[0], together[i])


@pytest.mark.parametrize("name", EVERY)
def test_draws_depend_on_the_step_and_not_on_the_global_generator(name) -> None:
    pipeline = make_augmentations(EVERY[name], 8)
    torch.manual_seed(0)
    first, state = run(pipeline, images(), [0, 0, 0]), torch.get_rng_state()
    torch.rand(5)
    assert torch.equal(first, run(pipeline, images(), [0, 0, 0]))
    torch.manual_seed(0)
    assert torch.equal(state, torch.get_rng_state())  # nothing was taken from it
    assert not torch.equal(first, run(pipeline, images(), [0, 0, 0], step=3))


@pytest.mark.parametrize("name", [name for name in EVERY if name != "shift"])
def test_more_copies_keep_the_first_ones(name) -> None:
    few = run(make_augmentations(EVERY[name], 2), images(), [0, 0, 0])
    many = run(make_augmentations(EVERY[name], 6), images(), [0, 0, 0])
    torch.testing.assert_close(few, many[:, :2])
    assert not torch.equal(many[:, 0], many[:, 1]) or not torch.equal(many[:, 0], many[:, 2])


def test_the_papers_shift_is_one_roll_for_all_copies() -> None:
    rolled = run(make_augmentations(EVERY["shift"], 4), images(), [0, 0, 0])
    assert torch.equal(rolled[:, 0], rolled[:, 3])
    found = [
        (y, x) for y in range(-4, 5) for x in range(-4, 5) if torch.equal(images().roll((y, x), (2, 3)), rolled[:, 0])
    ]
    assert len(found) == 1


def test_color_shift_has_the_papers_distribution() -> None:
    pipeline = make_augmentations(EVERY["color"], 400)
    draw = pipeline.draw([0], 0, 0.0, SIZE)[0]
    mean, std = draw["mean"].flatten(), draw["std"].flatten()
    assert mean.min() >= -1 and mean.max() <= 1 and mean.std() == pytest.approx(3**-0.5, abs=0.03)
    assert std.log().abs().max() <= 1 and std.log().std() == pytest.approx(3**-0.5, abs=0.03)
    shifted = pipeline.apply(images(1), [draw])
    torch.testing.assert_close(shifted[7], (images(1)[0] - draw["mean"][0, 7]) / draw["std"][0, 7])


@pytest.mark.parametrize(("progress", "std"), [(0.0, 0.5), (0.5, 0.25), (1.0, 0.0)])
def test_noise_falls_in_a_line(progress, std) -> None:
    pipeline = make_augmentations(EVERY["noise"], 32)
    noise = pipeline.draw([0], 0, progress, SIZE)[0]["noise"]
    assert noise.std() == pytest.approx(std, rel=0.05, abs=1e-6)
    channel = make_augmentations(EVERY["noise-channel"], 4).draw([0], 0, 0.0, SIZE)[0]["noise"]
    assert channel.shape == (1, 4, 3, 1, 1)


def test_affine_matrix_turns_about_the_middle() -> None:
    zero, one = torch.zeros(2), torch.tensor(1.0)
    torch.testing.assert_close(affine_matrix((9, 9), zero, torch.tensor(0.0), one), torch.eye(3)[:2])
    quarter = affine_matrix((9, 9), zero, torch.tensor(torch.pi / 2), one)
    torch.testing.assert_close(quarter @ torch.tensor([4.0, 4.0, 1.0]), torch.tensor([4.0, 4.0]))
    moved = affine_matrix((9, 9), torch.tensor([2.0, -1.0]), torch.tensor(0.3), 2 * one) @ torch.tensor([4.0, 4, 1])
    torch.testing.assert_close(moved, torch.tensor([6.0, 3.0]))


def test_affine_shifts_by_pixels_and_fills_by_reflection() -> None:
    augmentation = make_augmentations(AugmentSettings(affine=AffineSettings(fade=None), noise=None), 1).steps[0]
    move = torch.tensor([[[3.0, 0.0, 0.0, 0.0]]])
    white = torch.ones(1, 1, 3, *SIZE)
    torch.testing.assert_close(augmentation.apply(white, {"move": move}), white)
    picture = images(1)[:, None]
    moved = augmentation.apply(picture, {"move": move})
    torch.testing.assert_close(moved[..., 3:], picture[..., :-3], atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["affine", "noise", "noise-channel"])
def test_strength_is_that_of_each_image(name) -> None:
    pipeline = make_augmentations(EVERY[name], 3)
    draws = pipeline.draw([0, 0, 0], 2, 0.5, SIZE)
    plain = pipeline.apply(images(), draws).unflatten(0, (3, 3))
    graded = pipeline.apply(images(), draws, torch.tensor([0.0, 0.5, 1.0])).unflatten(0, (3, 3))
    torch.testing.assert_close(graded[0], images()[:1].expand(3, -1, -1, -1), atol=1e-5, rtol=0)
    torch.testing.assert_close(graded[2], plain[2])
    if name == "affine":
        half = make_augmentations(EVERY[name], 3, depth=0.5)  # half of the ranges, the same draws
        expected = half.apply(images(), half.draw([0, 0, 0], 2, 0.5, SIZE)).unflatten(0, (3, 3))[1]
    else:
        expected = (plain[1] + images()[1]) / 2
    torch.testing.assert_close(graded[1], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("depth", "reach"), [(0.0, 0.25), (0.1, 0.25), (0.4, 0.4), (1.0, 1.0)])
def test_the_first_blocks_have_the_least_share_of_the_warp(depth, reach) -> None:
    pipeline = make_augmentations(AugmentSettings(affine=AffineSettings(least=0.25), noise=None), 1, depth)
    whole = make_augmentations(AugmentSettings(affine=AffineSettings(least=0.25), noise=None), 1, 1.0)
    moves = [found.draw([3], 1, 0.5, SIZE)[0]["move"] for found in (pipeline, whole)]
    torch.testing.assert_close(moves[0], reach * moves[1])


def test_a_faded_warp_leaves_the_copies_exactly_alone() -> None:
    pipeline = make_augmentations(AugmentSettings(affine=AffineSettings(shift=4, fade=0.5), noise=None), 2)
    early, late = run(pipeline, images(), [0, 0, 0], progress=0.0), run(pipeline, images(), [0, 0, 0], progress=0.5)
    assert torch.equal(late, images()[:, None].expand_as(late))
    assert not torch.allclose(early, late, atol=0.05)


def test_unknown_kornia_name_and_argument_are_one_line() -> None:
    with pytest.raises(VitvisError, match="did you mean 'RandomGrayscale'"):
        make_augmentations(AugmentSettings(kornia={"RandomGreyscale": {}}), 1)
    with pytest.raises(VitvisError, match="augment.kornia.RandomGrayscale"):
        make_augmentations(AugmentSettings(kornia={"RandomGrayscale": {"strength": 1}}), 1)
