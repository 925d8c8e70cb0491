"""Contract 1: the image of a unit does not depend on its neighbours."""

from __future__ import annotations

import pytest
import torch
from pytorch_lightning import Trainer

RECIPES = {
    "pixel-paper": {
        "image": "pixel",
        "augment": {"affine": None, "shift": {}, "color": {}, "noise": {"start": 0.5, "per": "channel"}},
        "regularize": {"tv": 0.004},
        "objective": {"pre": 0.0},
    },
    "fourier-affine": {"image": "fourier", "objective": {"share": 0.1, "share_end": 1.0}},
    "fourier-shift": {
        "augment": {"affine": None, "shift": {"pixels": 4, "shared": False}, "kornia": {"RandomGrayscale": {"p": 0.5}}},
        "regularize": {"total_variation": 0.1, "l2": 0.1},
    },
    "levers": {
        "image": {"bands": 0.5, "canvas": 1.25, "decay_first": 1.0, "decay": 1.5},
        "augment": {"crop": {"smallest": 0.5}, "affine": {"fade": None}, "ease": {"over": 0.5, "awake": 3.0}},
        "steps": 8,
    },
    "stop": {"stop": {"patience": 2, "relative": 0.3, "cool": 0.3}, "steps": 12},
    "phase": {"image": "phase", "objective": {"measure": "cosine", "pre": 0.5}},
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_unit_alone_equals_the_unit_among_sixteen(fit, name) -> None:
    _, together, rows = fit("blocks.1.mlp:0-15", RECIPES[name])
    _, alone, row = fit("blocks.1.mlp:5", RECIPES[name])
    key = ("blocks.1.mlp:5", 0)
    torch.testing.assert_close(alone[key], together[key], atol=1e-5, rtol=0)
    assert row[key]["activation"] == pytest.approx(rows[key]["activation"], abs=1e-4)
    assert row[key]["rank"] == rows[key]["rank"]


def test_seeds_in_one_chunk_do_not_touch_each_other(fit) -> None:
    _, together, _ = fit("blocks.0.mlp:3,4", RECIPES["fourier-shift"], seeds=(0, 7))
    _, alone, _ = fit("blocks.0.mlp:4", RECIPES["fourier-shift"], seeds=(7,))
    key = ("blocks.0.mlp:4", 7)
    torch.testing.assert_close(alone[key], together[key], atol=1e-5, rtol=0)
    assert (together[key] - together[("blocks.0.mlp:4", 0)]).abs().max() > 1e-3


def test_the_global_generator_has_no_say(fit) -> None:
    torch.manual_seed(1)
    _, first, _ = fit("blocks.0.mlp:1", RECIPES["fourier-shift"])
    torch.manual_seed(2)
    _, second, _ = fit("blocks.0.mlp:1", RECIPES["fourier-shift"])
    key = ("blocks.0.mlp:1", 0)
    assert torch.equal(first[key], second[key])


def test_a_unit_alone_equals_the_unit_among_sixty_four(fit) -> None:
    recipe = {"steps": 3, "copies": 1}
    _, together, rows = fit("blocks.1.mlp:0-63", recipe, size=64)
    _, alone, row = fit("blocks.1.mlp:41", recipe)
    key = ("blocks.1.mlp:41", 0)
    torch.testing.assert_close(alone[key], together[key], atol=1e-5, rtol=0)
    assert row[key]["activation"] == pytest.approx(rows[key]["activation"], abs=1e-4)


def test_a_unit_on_rank_3_of_8_is_that_of_one_process(fit, monkeypatch) -> None:
    """Eight ranks share sixteen chunks of two units; together they make every unit once."""
    recipe = {"steps": 3, "copies": 1}
    _, whole, _ = fit("blocks.1.mlp:0-31", recipe, size=16)
    parts: dict[tuple[str, int], torch.Tensor] = {}
    for rank in range(8):
        monkeypatch.setattr(Trainer, "world_size", 8)
        monkeypatch.setattr(Trainer, "global_rank", rank)
        _, images, _ = fit("blocks.1.mlp:0-31", recipe, size=2)
        assert len(images) == 4 and not parts.keys() & images.keys()
        parts |= images
    assert parts.keys() == whole.keys()
    for key, image in whole.items():
        torch.testing.assert_close(parts[key], image, atol=1e-5, rtol=0)
