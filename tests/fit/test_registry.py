"""Registers: what they list, take out and warn of; an augmentation of one's own joins a recipe by its name."""

from __future__ import annotations

import warnings

import pytest
import torch

from vitvis.errors import VitvisError
from vitvis.fit import AUGMENTATIONS, PARAMETERIZATIONS, REGULARIZERS, Augmentation, augmentation, recipe_of
from vitvis.fit.augmentations import make_augmentations
from vitvis.fit.registry import Registry
from vitvis.fit.settings import AugmentSettings, FitSettings


@pytest.fixture
def register() -> Registry[object]:
    found: Registry[object] = Registry("thing")
    found.register("one")(Augmentation)
    return found


def test_names_are_listed_by_pattern_and_taken_out(register) -> None:
    register.register("other")(FitSettings)
    assert register.list() == ["one", "other"] and register.list("*her") == ["other"] and len(register) == 2
    assert register.remove("one") is Augmentation and "one" not in register
    with pytest.raises(VitvisError, match="no thing is called 'othr'; did you mean 'other'"):
        register.remove("othr")


def test_another_entry_of_the_same_name_is_told(register) -> None:
    with pytest.warns(UserWarning, match="the thing 'one' is replaced"):
        register.register("one")(FitSettings)
    assert register["one"] is FitSettings


def test_a_cell_that_is_run_twice_is_not_told(register) -> None:
    def make() -> type:
        class Mine:
            pass

        return Mine

    first, second = make(), make()
    register.register("mine")(first)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        register.register("mine")(second)
    assert register["mine"] is second


def test_what_ships_is_listed() -> None:
    assert {"pixel", "fourier", "phase"} <= set(PARAMETERIZATIONS.list())
    assert {"tv", "total_variation", "l2"} <= set(REGULARIZERS.list())


@pytest.fixture
def brighter():
    @augmentation("brighter")
    class Brighter(Augmentation):
        def __init__(self, most: float = 0.1) -> None:
            self.most = most

        def draw(self, size, progress, generator):
            return {"add": torch.rand(1, 1, 1, generator=generator) * self.most}

        def apply(self, copies, draws):
            return copies + draws["add"]

    yield Brighter
    AUGMENTATIONS.remove("brighter")


def test_a_registered_augmentation_joins_a_recipe(brighter) -> None:
    settings = AugmentSettings(affine=None, noise=None, extra={"brighter": {"most": 0.5}})
    pipeline = make_augmentations(settings, 3)
    images = torch.full((2, 3, 4, 4), 0.25)
    copies = pipeline.apply(images, pipeline.draw([0, 0], 1, 0.0, (4, 4))).unflatten(0, (2, 3))
    added = copies - 0.25
    assert (added >= 0).all() and added.max() < 0.5 and added[0, 0, 0, 0, 0] != added[0, 1, 0, 0, 0]
    torch.testing.assert_close(copies[0], copies[1])
    with pytest.raises(VitvisError, match="augment.extra.brighter: .*unexpected keyword argument 'least'"):
        make_augmentations(AugmentSettings(extra={"brighter": {"least": 1}}), 1)
    with pytest.raises(VitvisError, match="no augmentation is called 'brightr'; did you mean 'brighter'"):
        make_augmentations(AugmentSettings(extra={"brightr": {}}), 1)


def test_a_recipe_without_one_keeps_its_name() -> None:
    assert "extra" not in recipe_of(FitSettings())["augment"]
    assert recipe_of(FitSettings(augment=AugmentSettings(extra={"x": {}}))) != recipe_of(FitSettings())


def test_kornias_draws_leave_the_generators_of_gpus_alone(monkeypatch) -> None:
    """`torch.manual_seed` would seed them as well, and `fork_rng(devices=[])` would not give them back."""
    seeded: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    pipeline = make_augmentations(AugmentSettings(kornia={"RandomGrayscale": {"p": 0.5}}), 2)
    pipeline.draw([0], 0, 0.0, (8, 8))
    assert seeded == []
    torch.manual_seed(torch.initial_seed())
    assert len(seeded) == 1
