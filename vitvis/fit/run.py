"""`vitvis.fit.run(...)`: the command `fit` from Python."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vitvis.config.core import merge
from vitvis.fit.settings import FitSettings

__all__ = ["run"]


def run(
    cfg: FitSettings | Mapping[str, Any] | list[str] | str | Path | None = None, /, **settings: Any
) -> list[dict[str, Any]]:
    """Optimise images for units; `vitvis.fit.run(...)` is this function.

    Args:
        cfg: Settings, a mapping of them, a list of `a.b=c`, or a YAML file.
        settings: Single settings laid over `cfg`: `vitvis.fit.run(model="vit_tiny_patch16_224", units="head:207")`.

    Returns:
        One record a unit and seed, those that the folder held already among them.

    Raises:
        VitvisError: settings that can't be followed.
    """
    from vitvis.fit.engine import run_fit

    layers = [layer for layer in (cfg, settings) if layer]
    return run_fit(merge(FitSettings, *layers)).records
