"""What the text of a PNG may say about how to make it again: a stranger may have written it.

It names recipe settings, a model, units and seeds, and nothing else. A path is left out and asked for, since reading a
file is up to the user; nothing in it is an option, and nothing refers to the environment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from vitvis.config.paths import looks_like_a_path
from vitvis.config.values import flatten, shown
from vitvis.errors import VitvisError
from vitvis.fit.recipe import RECIPE
from vitvis.fit.settings import FitSettings
from vitvis.runs import read_png_text

__all__ = ["paths_of", "rebuild_settings"]

_GROUPS = ("image", "augment", "regularize", "objective", "optim")
_TAKEN = ("model", "weights", "image_size", "units", "seeds", *RECIPE)


def paths_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of a picture's settings that name files, by their dotted names."""
    found: dict[str, Any] = {}
    image = settings.get("image") or {}
    if ":" in str(settings.get("model", "")).removeprefix("open_clip:"):  # of a folder, or of anybody's on the hub
        found["model"] = settings["model"]
    if looks_like_a_path(str(settings.get("weights", "hub"))):
        found["weights"] = settings["weights"]
    if any("@" in str(unit) or "image:" in str(unit) for unit in _listed(settings.get("units"))):
        found["units"] = settings["units"]
    if image.get("start", "noise") != "noise":
        found["image.start"] = image["start"]
    if image.get("magnitude") is not None:
        found["image.magnitude"] = image["magnitude"]
    return found


def rebuild_settings(file: str) -> dict[str, Any]:
    """Return the settings with which the image of a PNG is made again, without those that name files.

    Raises:
        VitvisError: it carries no settings, or such as no image of vitvis carries.
    """
    carried = _read(file)
    kept = {name: carried[name] for name in _TAKEN if name in carried}
    for name in paths_of(kept):
        group, _, inner = name.partition(".")
        kept[group] = {key: value for key, value in kept[group].items() if key != inner} if inner else _default(name)
    trainer = carried.get("trainer")
    if isinstance(trainer, Mapping) and "precision" in trainer:
        kept["trainer"] = {"precision": trainer["precision"]}
    return {**kept, "out": f"out/again-{Path(file).stem}"}


def check_paths_given(file: str, settings: FitSettings) -> None:
    """Find out whether the command line names the files that the image of a PNG was made with.

    Raises:
        VitvisError: it does not; says what to add.
    """
    named = paths_of(_read(file))
    values: dict[str, Any] = {"model": settings.model, "weights": settings.weights, "units": settings.units}
    values |= {"image.start": settings.image.start, "image.magnitude": settings.image.magnitude}
    left = {name: value for name, value in named.items() if values[name] in (_default(name), "noise", None)}
    if left:
        wanted = " ".join(shown(word, 200) for word in flatten(left))
        raise VitvisError(f"{file}: was made with files, which are read only where you name them; add {wanted}")


def _read(file: str) -> dict[str, Any]:
    text = read_png_text(file).get("settings")
    if text is None:
        raise VitvisError(f"{file}: carries no settings, so it is no image of vitvis.fit")
    try:
        carried = json.loads(text)
    except (ValueError, RecursionError):
        raise VitvisError(f"{file}: its settings can't be read") from None
    groups = (carried.get(name) or {} for name in _GROUPS) if isinstance(carried, dict) else ["none"]
    if "${" in text or not all(isinstance(group, dict) for group in groups):
        raise VitvisError(f"{file}: its settings are not those of an image of vitvis.fit")
    return carried


def _default(name: str) -> Any:
    return next((getattr(FitSettings(), item.name) for item in fields(FitSettings) if item.name == name), None)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
