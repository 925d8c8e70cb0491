"""How much models lean on background and foreground: masking, probes, metrics, tables.

Importing this package is cheap; torch comes with the first name that needs it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vitvis.evaluate.__main__ import main
    from vitvis.evaluate.bootstrap import interval, resampled_means
    from vitvis.evaluate.engine import evaluate
    from vitvis.evaluate.masking import FILLS, apply_mask

__all__ = [
    "FILLS",
    "apply_mask",
    "evaluate",
    "interval",
    "main",
    "resampled_means",
]

_HOMES = {
    "FILLS": "masking",
    "apply_mask": "masking",
    "interval": "bootstrap",
    "resampled_means": "bootstrap",
    "evaluate": "engine",
    "main": "__main__",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
