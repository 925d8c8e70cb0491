"""Models, their sites, and how activations are read: everything about the network that is looked into.

Importing this package is cheap; torch and timm come with the first name that is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .backbone import Backbone
    from .discover import Sites, find_sites
    from .language import Language
    from .loading import load_backbone
    from .prompts import resolve_units
    from .site import KINDS, Site
    from .tap import Tap
    from .tokens import select_tokens
    from .units import Unit, parse_units, read_units

__all__ = [
    "KINDS",
    "Backbone",
    "Language",
    "Site",
    "Sites",
    "Tap",
    "Unit",
    "find_sites",
    "load_backbone",
    "parse_units",
    "read_units",
    "resolve_units",
    "select_tokens",
]

_HOMES = {
    "KINDS": "site",
    "Backbone": "backbone",
    "Language": "language",
    "resolve_units": "prompts",
    "Site": "site",
    "Sites": "discover",
    "Tap": "tap",
    "Unit": "units",
    "find_sites": "discover",
    "load_backbone": "loading",
    "parse_units": "units",
    "read_units": "units",
    "select_tokens": "tokens",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
