"""The dataset images that excite units most: streaming top-k over a dataset for all units at once.

Importing this package is cheap; torch comes with the first name that needs it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vitvis.search.engine import search
    from vitvis.search.reading import SearchRun, read_search

__all__ = ["SearchRun", "read_search", "search"]

_HOMES = {"main": "__main__", "SearchRun": "reading", "read_search": "reading", "search": "engine"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"vitvis.search.{_HOMES[name]}"), name)
