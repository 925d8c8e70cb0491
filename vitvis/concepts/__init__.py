"""What units mean: words for them, and a score that tells meaning from look."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vitvis.concepts.__main__ import main
    from vitvis.concepts.engine import find_concepts

__all__ = ["find_concepts", "main"]

_HOMES = {"find_concepts": "engine", "main": "__main__"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
