"""Sweeps on this machine: W&B's sweep files, run and compared without an account or a network."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vitvis.sweep.__main__ import main
    from vitvis.sweep.report import Comparison, write_report
    from vitvis.sweep.runner import SweepRunner
    from vitvis.sweep.spec import SweepSpec, read_spec
    from vitvis.sweep.study import SweepStudy
    from vitvis.sweep.trials import Trial, read_runs

__all__ = [
    "Comparison",
    "SweepRunner",
    "SweepSpec",
    "SweepStudy",
    "Trial",
    "main",
    "read_runs",
    "read_spec",
    "write_report",
]

_HOMES = {
    "Comparison": "report",
    "write_report": "report",
    "SweepRunner": "runner",
    "SweepSpec": "spec",
    "read_spec": "spec",
    "SweepStudy": "study",
    "Trial": "trials",
    "read_runs": "trials",
    "main": "__main__",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
