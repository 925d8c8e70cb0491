"""The concept score on made data whose answer is known, and against a slow loop."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from vitvis.concepts.score import agreement, concept_score


def clusters(labels: np.ndarray, seed: int, spread: float = 0.3, size: int = 24) -> np.ndarray:
    """Features whose clusters are those of the labels, away from the origin, as embeddings are."""
    draw = np.random.default_rng(seed)
    means = draw.normal(size=(labels.max() + 1, size))
    return (means[labels] + spread * draw.normal(size=(len(labels), size)) + 5).astype(np.float32)


def test_meaning_and_look_come_apart() -> None:
    """400 photos: 20 meanings times 20 looks. One unit of each sort, whose answer is known."""
    meaning, look = np.divmod(np.arange(400), 20)
    same_meaning = np.flatnonzero(meaning == 3)
    same_look = np.flatnonzero(look == 7)
    both = np.array([63] * 20)  # the same photo again and again
    neither = np.random.default_rng(5).choice(400, 20, replace=False)
    units = np.stack([same_meaning, same_look, both, neither])
    found = concept_score(clusters(meaning, 0), clusters(look, 1), units)
    assert found.score[0] > 0.8 and found.language[0] > 0.9 and abs(found.look[0]) < 0.2
    assert found.score[1] < -0.8
    assert found.score[2] == pytest.approx(0, abs=1e-4) and found.look[2] == pytest.approx(1, abs=1e-2)
    assert found.score[3] == pytest.approx(0, abs=0.2)


def test_random_photos_agree_as_random_photos_do() -> None:
    draw = np.random.default_rng(0)
    features = draw.normal(size=(300, 16)).astype(np.float32)
    units = np.stack([draw.choice(300, 15, replace=False) for _ in range(200)])
    assert agreement(features, units).mean() == pytest.approx(0, abs=0.02)


def test_agreement_against_a_loop() -> None:
    draw = np.random.default_rng(1)
    features = draw.normal(size=(40, 5)).astype(np.float32)
    units = draw.integers(0, 40, (3, 4))
    units[2, 2:] = -1
    centred = features - features.mean(0)
    length = np.linalg.norm(centred, axis=1)
    cosine = (centred @ centred.T) / np.outer(length, length)
    reference = [cosine[i, j] for i, j in itertools.combinations(range(40), 2)]
    for unit, value in zip(units, agreement(features, units), strict=True):
        shares = []
        for i, j in itertools.combinations([row for row in unit if row >= 0], 2):
            below = sum(other < cosine[i, j] - 1e-6 for other in reference)
            equal = sum(abs(other - cosine[i, j]) <= 1e-6 for other in reference)
            shares.append((below + equal / 2) / len(reference))
        assert value == pytest.approx(2 * np.mean(shares) - 1, abs=3e-3)


def test_stretching_a_space_changes_nothing() -> None:
    features = np.random.default_rng(2).normal(size=(60, 8)).astype(np.float32)
    units = np.arange(20).reshape(4, 5)
    np.testing.assert_allclose(agreement(features * 7 + 3, units), agreement(features, units), atol=1e-3)


def test_one_photo_has_no_agreement() -> None:
    features = np.random.default_rng(3).normal(size=(10, 4)).astype(np.float32)
    assert np.isnan(agreement(features, np.array([[4, -1, -1]]))).all()
