"""The recipe: everything that decides what an image looks like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vitvis.config.core import merge, to_container
from vitvis.fit.settings import FitSettings

__all__ = ["RECIPE", "read_settings", "recipe_of"]

#: Settings that belong to the recipe.
RECIPE = ("steps", "copies", "image", "augment", "regularize", "objective", "optim")


def recipe_of(settings: FitSettings) -> dict[str, Any]:
    """Return the recipe as plain containers; not seeds, units, chunk size or device, which do not change an image."""
    container = to_container(settings)
    recipe = {name: container[name] for name in RECIPE}
    if not recipe["augment"]["extra"]:  # came later: a recipe without any keeps its name
        del recipe["augment"]["extra"]
    return recipe


def read_settings(settings: FitSettings | Mapping[str, Any]) -> FitSettings:
    """Return settings as they are, or lay a mapping (a recipe) over the defaults."""
    return settings if isinstance(settings, FitSettings) else merge(FitSettings, settings)
