"""Shipped recipes: read by the real parser, and equal to what they claim to be."""

from __future__ import annotations

import pytest

from vitvis.config.core import merge, recipe_names
from vitvis.fit.recipe import RECIPE, recipe_of
from vitvis.fit.settings import FitSettings


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_read(name, root) -> None:
    assert recipe_of(merge(FitSettings, root / "configs" / f"{name}.yaml")).keys() | {"match"} == set(RECIPE)


def test_the_default_is_the_default(root) -> None:
    assert recipe_of(merge(FitSettings, root / "configs" / "default.yaml")) == recipe_of(FitSettings())


@pytest.mark.parametrize(("name", "rate"), [("ghiasi2022", 0.1), ("clip", 1.0)])
def test_the_papers_recipe_is_the_papers(root, name, rate) -> None:
    recipe = recipe_of(merge(FitSettings, root / "configs" / f"{name}.yaml"))
    assert (recipe["steps"], recipe["copies"], recipe["image"]["kind"]) == (400, 8, "pixel")
    augment = recipe["augment"]
    assert augment["color"] == {"mean": 1.0, "log_std": 1.0} and augment["shift"] == {"pixels": 32, "shared": True}
    assert augment["noise"] == {"start": 0.5, "end": 0.0, "per": "channel"}
    assert augment["affine"] is None and augment["kornia"] == {}
    assert recipe["optim"] == {"lr": rate, "betas": [0.5, 0.99], "eps": 8e-8, "schedule": "cosine"}
    # activation / 8 + 0.0005 TV, times 8; nothing else is penalised
    assert recipe["regularize"] == {"tv": pytest.approx(8 * 0.0005), "total_variation": 0.0, "l2": 0.0, "extra": {}}
    objective = recipe["objective"]
    assert (objective["tokens"], objective["share"], objective["share_end"], objective["pre"]) == (
        "patches",
        1,
        None,
        0,
    )
