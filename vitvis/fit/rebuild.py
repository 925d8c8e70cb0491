"""What the text of a PNG may say about how to make it again: a stranger may have written it.

It names recipe settings, a model, units and seeds, and nothing else. A path is left out and asked for, since reading a
file is up to the user; nothing in it is an option, and nothing refers to the environment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

from vitvis.config import to_container
from vitvis.config.fields import iterate_settings, rules_of
from vitvis.config.paths import looks_like_a_path
from vitvis.config.values import flatten, flatten_values, group_of, shown
from vitvis.errors import VitvisError
from vitvis.fit.recipe import RECIPE
from vitvis.fit.settings import FitSettings
from vitvis.runs import read_png_text

__all__ = ["paths_of", "rebuild_settings"]

_HINTS = get_type_hints(FitSettings)
_GROUPS = [name for name in RECIPE if group_of(_HINTS[name]) is not None]
_TAKEN = ("model", "weights", "image_size", "units", "seeds", *RECIPE)


def paths_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of a picture's settings that name files, by their dotted names."""
    found: dict[str, Any] = {}
    if ":" in str(settings.get("model", "")).removeprefix("open_clip:"):  # of a folder, or of anybody's on the hub
        found["model"] = settings["model"]
    if looks_like_a_path(str(settings.get("weights", "hub"))):
        found["weights"] = settings["weights"]
    units = settings.get("units")
    if any("@" in str(unit) or "image:" in str(unit) for unit in (units if isinstance(units, list) else [units])):
        found["units"] = units
    values = flatten_values({name: settings.get(name) or {} for name in _GROUPS})
    for name, item, _ in iterate_settings(FitSettings):
        rules = rules_of(item)
        if rules.path in ("file", "folder") and values.get(name) is not None and values[name] not in rules.words:
            found[name] = values[name]
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
        kept[group] = {key: value for key, value in kept[group].items() if key != inner} if inner else None
    kept = {name: value for name, value in kept.items() if value is not None}
    trainer = carried.get("trainer")
    if isinstance(trainer, Mapping) and "precision" in trainer:
        kept["trainer"] = {"precision": trainer["precision"]}
    return {**kept, "out": f"out/again-{Path(file).stem}"}


def check_paths_given(file: str, settings: FitSettings) -> None:
    """Find out whether the command line names the files that the image of a PNG was made with.

    Raises:
        VitvisError: it does not; says what to add.
    """
    given, untouched = flatten_values(to_container(settings)), flatten_values(to_container(FitSettings()))
    left = {name: value for name, value in paths_of(_read(file)).items() if given.get(name) == untouched.get(name)}
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
