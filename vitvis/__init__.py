"""vitvis shows what the units of a vision model look for.

`import vitvis` is cheap: torch, timm and Lightning come with the first name that is used.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

__all__ = [
    "ActivationMaximization",
    "FitSettings",
    "Tap",
    "UnitDataModule",
    "VitvisError",
    "__version__",
    "fit",
    "load_backbone",
    "parse_units",
    "read_records",
]

_HOMES = {
    "ActivationMaximization": "vitvis.fit.module",
    "FitSettings": "vitvis.fit.settings",
    "Tap": "vitvis.backbones",
    "UnitDataModule": "vitvis.fit.datamodule",
    "VitvisError": "vitvis.errors",
    "load_backbone": "vitvis.backbones",
    "parse_units": "vitvis.backbones",
    "read_records": "vitvis.runs",
}
_ENTRY_POINTS = ("fit", "sites", "search", "evaluate", "concepts", "findings", "sweep", "atlas")


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _ENTRY_POINTS:
        return importlib.import_module(f"vitvis.{name}")
    raise AttributeError(f"module 'vitvis' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_ENTRY_POINTS})
