"""How good is a picture, by an eye that did not make it: scores of optimised images by another model.

Importing this package is cheap; torch comes with the first name that needs it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vitvis.judge.engine import Judgement, judge_runs
    from vitvis.judge.eye import Eye, load_eye
    from vitvis.judge.run import run

__all__ = ["Eye", "Judgement", "judge_runs", "load_eye", "run"]

_HOMES = {
    "main": "__main__",
    "Eye": "eye",
    "Judgement": "engine",
    "judge_runs": "engine",
    "load_eye": "eye",
    "run": "run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
