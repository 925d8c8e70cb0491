"""The recipe: everything that decides what an image looks like."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vitvis.config.core import merge, to_container
from vitvis.fit.settings import FitSettings
from vitvis.runs.files import utf8

__all__ = ["RECIPE", "check_parts", "read_settings", "recipe_of"]

#: Settings that belong to the recipe.
RECIPE = (
    "steps", "copies", "image", "augment", "regularize", "objective", "optim", "classes", "match", "variants",
    "diversity", "stop",
)  # fmt: skip
#: What came later, and its value that changes nothing: a recipe that has it keeps the name it had before.
LATER: dict[str, dict[str, Any]] = {
    "image": {"decay_first": None, "bands": 0.0, "canvas": 1.0},
    "augment": {"crop": None, "ease": None, "extra": {}},
}


def recipe_of(settings: FitSettings) -> dict[str, Any]:
    """Return the recipe as plain containers; not seeds, units, chunk size or device, which do not change an image.

    Files that decide an image (`image.start`, the folder `image.magnitude`, the records of `match.search` and
    `diversity.search`) count by what they hold, not by where they lie.
    """
    container = to_container(settings)
    recipe = {name: container[name] for name in RECIPE}
    for group, entries in LATER.items():
        for name, neutral in entries.items():
            if recipe[group][name] == neutral:
                del recipe[group][name]
    if (recipe["augment"]["affine"] or {}).get("least") == 0:
        del recipe["augment"]["affine"]["least"]
    if settings.classes is None:
        del recipe["classes"]
    if settings.match is None:
        del recipe["match"]
    else:  # the photos count, not where the search lies
        recipe["match"]["search"] = search_content(settings.match.search)
    if settings.variants == 1:
        del recipe["variants"], recipe["diversity"]
    elif settings.diversity.search is not None:
        recipe["diversity"]["search"] = search_content(settings.diversity.search)
    if settings.stop is None:
        del recipe["stop"]
    image = settings.image
    if image.kind == "pixel":
        del recipe["image"]["decay"]  # means nothing to it: the paper's recipe keeps its name when the default changes
    if image.start != "noise":
        recipe["image"]["start"] = _content([Path(image.start).expanduser()])
    if image.magnitude is not None:
        from vitvis.fit.images.picture import list_pictures

        recipe["image"]["magnitude"] = _content(list_pictures(image.magnitude))
    return recipe


def check_parts(settings: FitSettings) -> None:
    """Look every part of a recipe up by its name and make it, before a model is loaded.

    Raises:
        VitvisError: there is no such part, or it does not take its arguments.
    """
    from vitvis.fit.augmentations import make_augmentations
    from vitvis.fit.images import PARAMETERIZATIONS
    from vitvis.fit.regularizers import chosen_regularizers

    PARAMETERIZATIONS[settings.image.kind]
    chosen_regularizers(settings.regularize)
    make_augmentations(settings.augment, settings.copies).draw([0], 0, 0.0, (64, 64))


def search_content(search: str | None) -> str:
    """Return a name of what a search found: of its records, wherever they lie."""
    return _content(sorted((Path(str(search)).expanduser() / "records").glob("*.parquet")))


def _content(files: Sequence[Path]) -> str:
    """Return a name of what files hold, in their order; a file that can't be read is told when it is needed."""
    digest = hashlib.sha256()
    for file in files:
        try:
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        except OSError:
            digest.update(utf8(str(file)))
    return f"sha256:{digest.hexdigest()[:24]}"


def read_settings(settings: FitSettings | Mapping[str, Any]) -> FitSettings:
    """Return settings as they are, or lay a mapping (a recipe) over the defaults."""
    return settings if isinstance(settings, FitSettings) else merge(FitSettings, settings)
