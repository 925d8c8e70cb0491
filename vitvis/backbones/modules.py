"""Models of your own: an `nn.Module`, or `python:package.module:function`, which returns one."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from vitvis.errors import VitvisError, nearest, sentence

from .backbone import Backbone
from .probe import run_probe
from .weights import identify

__all__ = ["PREFIX", "call_function", "wrap_module"]

PREFIX = "python:"
_FACTS = ("mean", "std", "image_size", "class_names", "in_chans")


def call_function(name: str) -> tuple[nn.Module, dict[str, Any]]:
    """Call the function that `python:package.module:function` names.

    Returns:
        The module that it returned, and what it said of it: a function may return `(module, {"mean": ..., "std": ...,
        "image_size": ..., "class_names": ...})`.

    Raises:
        VitvisError: no such module or function, an error in it, or it returned something else.
    """
    place, _, function = name.removeprefix(PREFIX).rpartition(":")
    if not place or not function:
        raise VitvisError(f"model {name}: write python:package.module:function")
    if os.getcwd() not in sys.path and "" not in sys.path:  # as `python -m` does
        sys.path.insert(0, os.getcwd())
    try:
        found = importlib.import_module(place)
    except (Exception, SystemExit) as error:  # noqa: BLE001  # a module runs when it is imported, and may do anything
        kind = "" if isinstance(error, ImportError) else f"{type(error).__name__}: "
        raise VitvisError(f"model {name}: can't import {place} ({kind}{sentence(error)})") from error
    build = getattr(found, function, None)
    if not callable(build):
        names = [key for key, value in vars(found).items() if callable(value) and not key.startswith("_")]
        raise VitvisError(f"model {name}: no function '{function}' in {place}{nearest(function, names)}")
    try:
        result = build()
    except (Exception, SystemExit) as error:  # noqa: BLE001  # anything may go wrong in another's function
        raise VitvisError(
            f"model {name}: {function}() failed with {type(error).__name__}: {sentence(error)}"
        ) from error
    model, facts = result if isinstance(result, tuple) and len(result) == 2 else (result, {})
    if not isinstance(model, nn.Module) or not isinstance(facts, Mapping) or set(facts) - set(_FACTS):
        raise VitvisError(
            f"model {name}: {function}() has to return an nn.Module, or one and a dictionary of {', '.join(_FACTS)}"
        )
    return model, dict(facts)


def wrap_module(
    model: nn.Module,
    name: str,
    weights: str,
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    image_size: tuple[int, int] | None = None,
    class_names: Sequence[str] | None = None,
    in_chans: int | None = None,
) -> Backbone:
    """Make a backbone of a module that takes images `[B, C, H, W]`; it is frozen and put into eval mode in place.

    Args:
        model: returns one tensor `[B, classes]`, which becomes the site `head`, or anything else, and has none then.
        name: how it is called.
        weights: where they come from.
        mean: of its normalisation; None: 0, images in [0, 1] as they are.
        std: of its normalisation; None: 1.
        image_size: rows and columns; None: 224.
        class_names: of its outputs.
        in_chans: C; None: as many as `mean` or `std` has numbers, else 3.

    Raises:
        VitvisError: it does not take such images.
    """
    size = image_size or (224, 224)
    channels = int(in_chans or len(mean if mean is not None else std if std is not None else (0,) * 3))
    model.eval().requires_grad_(False).float()
    try:
        with torch.no_grad():
            output = run_probe(model, size, channels).output
    except Exception as error:  # noqa: BLE001  # any module's own way of refusing images
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise VitvisError(
            f"model {name} does not take images [2, {channels}, {size[0]}, {size[1]}] ({reason}); say image_size and "
            "in_chans, or wrap it in a module that takes images alone (no text, video or volumes)"
        ) from error
    classes = output[1] if output is not None and len(output) == 2 else 0
    return Backbone(
        model,
        name=name,
        weights=weights,
        weights_id=identify(model),
        mean=_numbers(mean, 0.0, "mean", channels),
        std=_numbers(std, 1.0, "std", channels),
        image_size=size,
        class_names=list(class_names) if class_names is not None and len(class_names) == classes else None,
        eval_settings={"crop_pct": 1.0},
        num_classes=classes,
    )


def _numbers(numbers: Sequence[float] | None, default: float, what: str, channels: int) -> tuple[float, ...]:
    if numbers is None:
        return (default,) * channels
    found = tuple(float(number) for number in numbers)
    if len(found) != channels or (what == "std" and min(found) <= 0):
        wanted = "three numbers" if channels == 3 else f"{channels} number{'' if channels == 1 else 's'}"
        raise VitvisError(f"{what}={list(numbers)}: {wanted}, one a channel, are wanted")
    return found
