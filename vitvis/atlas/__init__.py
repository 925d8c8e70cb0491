"""The atlas: a static site from run folders, for looking at every unit without a server."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vitvis.atlas.__main__ import main
    from vitvis.atlas.build import Atlas, write_atlas

__all__ = ["Atlas", "main", "write_atlas"]

_HOMES = {"Atlas": "build", "write_atlas": "build", "main": "__main__"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
