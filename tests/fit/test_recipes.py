"""Shipped recipes: read by the real parser, and equal to what they claim to be."""

from __future__ import annotations

import pytest

from vitvis.config.core import merge, recipe_names
from vitvis.errors import VitvisError
from vitvis.fit.recipe import RECIPE, recipe_of
from vitvis.fit.settings import FitSettings


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_read(name, root, tmp_path) -> None:
    more = [f"match.search={tmp_path}"] if name == "matched" else []
    left_out = {"match", "classes", "variants", "diversity", "stop"}  # where they change nothing
    assert recipe_of(merge(FitSettings, root / "configs" / f"{name}.yaml", more)).keys() | left_out == set(RECIPE)


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


def test_a_recipe_of_pixels_does_not_go_by_the_decay_of_frequencies(root) -> None:
    paper = root / "configs" / "ghiasi2022.yaml"
    assert recipe_of(merge(FitSettings, paper, ["image.decay=3"])) == recipe_of(merge(FitSettings, paper))
    kinds = [recipe_of(merge(FitSettings, ["image.kind=phase", f"image.decay={decay}"])) for decay in (1, 2)]
    assert kinds[0] != kinds[1]


def test_the_old_default_keeps_what_made_its_pictures(root) -> None:
    recipe = recipe_of(merge(FitSettings, root / "configs" / "activation.yaml"))
    assert recipe == {
        "steps": 60,
        "copies": 2,
        "image": {
            "kind": "fourier", "start": "noise", "std": 0.01, "decay": 1.0, "decorrelate": True, "magnitude": None,
            "contrast": 1.0,
        },
        "augment": {
            "affine": {"shift": 8.0, "rotate": 5.0, "zoom": 1.1, "fade": 1.0, "by_depth": True}, "shift": None,
            "color": None, "noise": {"start": 0.05, "end": 0.0, "per": "pixel"}, "kornia": {},
        },
        "regularize": {"tv": 0.0, "total_variation": 0.0, "l2": 0.0, "extra": {}},
        "objective": {"tokens": "patches", "share": 0.1, "share_end": 1.0, "measure": "dot", "pre": 1.0},
        "optim": {"lr": 0.2, "betas": [0.5, 0.99], "eps": 1e-07, "schedule": "cosine"},
    }  # fmt: skip


def test_no_recipe_costs_more_than_it_says(root) -> None:
    cost = {}
    for name in ("default", "activation", "fine"):
        settings = merge(FitSettings, root / "configs" / f"{name}.yaml")
        cost[name] = settings.steps * settings.copies
    assert cost["default"] == cost["activation"] == 120 and cost["fine"] <= 8 * 120


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["image.canvas=1.5"], "image.canvas=1.5: copies have to be crops"),
        (["augment.crop.smallest=0.5", "augment.crop.largest=0.4"], "augment.crop.smallest=0.5: is above"),
    ],
)
def test_levers_that_do_not_go_together_are_told_when_settings_are_read(words, message) -> None:
    with pytest.raises(VitvisError, match=message.replace(".", r"\.")):
        merge(FitSettings, words)


def test_matched_asks_for_its_search_before_anything_is_made(tmp_path, capsys) -> None:
    from vitvis.cli import main

    assert main(["fit", "recipe=matched", f"out={tmp_path / 'run'}"]) == 2
    assert "match.search: give the folder" in capsys.readouterr().err and not (tmp_path / "run").exists()
