"""The choice test against a slow loop, and what its score has to be where that is known beforehand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vitvis.backbones.space import make_space, unit_rows
from vitvis.judge.choice import (
    Choice,
    Pairs,
    SharedContrast,
    choose,
    choose_by_photos,
    level,
    orthonormal,
    right_share,
    without,
)

PHOTOS, UNITS, WIDTH = 600, 40, 32


def make_world(seed: int = 0, common: float = 0.0) -> tuple[np.ndarray, list[Pairs], np.ndarray]:
    """Photos as directions, units that each look along one direction (and all of them along a common one)."""
    draw = np.random.default_rng(seed)
    shared = unit_rows(draw.normal(size=WIDTH))
    space = unit_rows(draw.normal(size=(PHOTOS, WIDTH)))
    looks = unit_rows(draw.normal(size=(UNITS, WIDTH)) + common * np.sqrt(WIDTH) * shared)
    return space, [pairs_of(space @ look) for look in looks], looks


def pairs_of(activation: np.ndarray) -> Pairs:
    order = np.argsort(-activation)
    middle = np.concatenate([np.array_split(order[::-1], 10)[decile][:2] for decile in range(10)])
    return Pairs(
        order[:20], order[-20:], middle, np.repeat(np.arange(10), 2),
        activation[order[:20]], activation[order[-20:]], activation[middle],
    )  # fmt: skip


def slow_share(space: np.ndarray, strong: np.ndarray, other: np.ndarray, explanation: np.ndarray) -> float:
    right, total = 0.0, 0
    for first in strong:
        for second in other:
            one, two = float(space[first] @ explanation), float(space[second] @ explanation)
            right += 1.0 if one > two else 0.5 if one == two else 0.0
            total += 1
    return right / total


def test_equals_a_loop_over_all_pairs() -> None:
    space, units, looks = make_world()
    for pairs, explanation in zip(units[:4], looks[1:5], strict=True):
        found = choose(pairs, space, explanation)
        assert found.easy == pytest.approx(slow_share(space, pairs.strong, pairs.weak, explanation))
        deciles = [slow_share(space, pairs.strong, pairs.middle[pairs.decile == d], explanation) for d in range(10)]
        assert found.by_decile == pytest.approx(deciles)
        assert found.share == pytest.approx((found.easy + np.mean(deciles)) / 2)


def test_photos_explain_without_the_photo_in_question() -> None:
    space, units, _ = make_world()
    pairs = units[0]
    expected = []
    for place, photo in enumerate(pairs.strong):
        explanation = np.delete(space[pairs.strong], place, 0).mean(0)
        expected.append(
            np.mean([float(space[photo] @ explanation > space[other] @ explanation) for other in pairs.weak])
        )
    assert choose_by_photos(pairs, space).easy == pytest.approx(np.mean(expected))


def test_pairs_without_a_right_answer_are_left_out() -> None:
    strong, other = np.array([1.0, 0.0]), np.array([0.5, 2.0])
    assert (
        right_share(strong, other, np.array([1.0, 0.0]), np.array([0.0, 0.0])) == 0.5
    )  # one photo fires, one does not
    assert np.isnan(right_share(strong, other, np.zeros(2), np.zeros(2)))
    assert right_share(np.zeros(2), np.zeros(3), np.ones(2), np.zeros(3)) == 0.5  # ties
    assert np.isnan(Choice(float("nan"), float("nan")).share)


def test_hard_pairs_get_harder_by_decile() -> None:
    space, units, looks = make_world()
    draw = np.random.default_rng(1)
    shares = np.mean(
        [
            choose(pairs, space, look + 0.15 * draw.normal(size=WIDTH)).by_decile
            for pairs, look in zip(units, looks, strict=True)
        ],
        0,
    )
    assert shares[0] > shares[5] > shares[9] > 0.5


def test_what_all_units_share_explains_none_of_them() -> None:
    """An explanation that is the same for all units scores half once what they share is out, and far more before."""
    space, units, looks = make_world(common=1.0)
    same = unit_rows(looks.mean(0))
    before = [choose(pairs, space, same).share for pairs in units]
    shared = SharedContrast(units, space)
    after, own = [], []
    for pairs, look in zip(units, looks, strict=True):
        basis = shared.basis(pairs, space)
        near = without(space, basis)
        after.append(choose(pairs, near, without(same, basis)).share)
        own.append(choose(pairs, near, without(look, basis)).share)
    assert np.mean(before) > 0.9
    assert abs(np.mean(after) - 0.5) < 0.06
    assert np.mean(own) > 0.9


def test_shuffled_units_score_chance_and_own_ones_do_not() -> None:
    space, units, looks = make_world()
    own = np.array([choose(pairs, space, look).share for pairs, look in zip(units, looks, strict=True)])
    moved = np.array(
        [choose(pairs, space, look).share for pairs, look in zip(units, np.roll(looks, 1, 0), strict=True)]
    )
    assert own.min() > 0.95
    error = moved.std(ddof=1) / np.sqrt(len(moved))
    assert abs(moved.mean() - 0.5) < 3 * error


def test_own_unit_is_left_out_of_what_is_shared_and_few_units_share_nothing() -> None:
    space, units, _ = make_world()
    some = SharedContrast(units[:12], space)
    rest = SharedContrast(units[1:12], space)
    assert some.basis(units[0], space) == pytest.approx(rest.basis())
    assert SharedContrast(units[:4], space).basis().shape == (0, WIDTH)
    assert without(space, np.zeros((0, WIDTH))) == pytest.approx(space)


def test_space_is_blind_to_the_scale_of_a_feature_and_gives_depths_the_same_say() -> None:
    draw = np.random.default_rng(0)
    photos, pictures = draw.normal(size=(200, 12)), draw.normal(size=(5, 12))
    scales = 10 ** draw.uniform(-1, 1, 12)
    placed = make_space(photos, (4, 8)).place(pictures)
    assert make_space(photos * scales + 7, (4, 8)).place(pictures * scales + 7) == pytest.approx(placed, abs=1e-4)
    assert np.square(placed[:, :4]).sum(1) == pytest.approx(0.5, abs=1e-6)
    with pytest.raises(ValueError, match="12"):
        make_space(photos, (4, 4))


def test_along_what_explains_nothing_strong_and_other_photos_are_alike() -> None:
    """A unit whose strong photos are all noisier: noise points at them until they are levelled, its look still does."""
    space, units, looks = make_world()
    draw = np.random.default_rng(5)
    axis = unit_rows(draw.normal(size=WIDTH))
    found = []
    for pairs, look in zip(units, looks, strict=True):
        noisy = space[np.concatenate([pairs.strong, pairs.weak, pairs.middle])]  # a photo may be in two groups
        groups = np.split(np.arange(60), [20, 40])
        pairs = replace(pairs, strong=groups[0], weak=groups[1], middle=groups[2])
        noisy[pairs.strong] += 0.5 * axis
        assert choose(pairs, noisy, axis).share > 0.8
        near = level(noisy, groups, orthonormal(axis[None]))
        for rows in groups:
            assert near[rows].mean(0) @ axis == pytest.approx(0, abs=1e-9)
        found.append((choose(pairs, near, axis).share, choose(pairs, near, look).share))
        drowned = choose(pairs, near, look + 20 * axis).share  # noise in a picture drowns what it shows
        assert drowned < found[-1][1]
    assert np.mean(found, 0)[0] == pytest.approx(0.5, abs=0.03)
    assert np.mean(found, 0)[1] > 0.9
