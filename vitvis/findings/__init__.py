"""The statements of the work that vitvis follows, each measured and laid out on a page.

A statement is a function from a `Bench`, which runs and remembers fits, searches and evaluations, to a `Finding`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vitvis.findings.__main__ import findings, main, with_quick
    from vitvis.findings.engine import run_findings

__all__ = ["findings", "main", "run_findings", "with_quick"]

_HOMES = {"run_findings": "engine", "findings": "__main__", "with_quick": "__main__", "main": "__main__"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
