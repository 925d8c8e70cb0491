"""Settings of `python -m vitvis.sweep`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vitvis.config import limits, setting

__all__ = ["SweepSettings"]


@dataclass
class SweepSettings:
    """Run a sweep file on this machine, or compare runs that are there."""

    spec: str | None = setting(None, path="file")
    """The sweep file, one that `wandb sweep` takes too; may be written without spec=."""
    report: list[str] = setting([], path="folder")
    """Compare these runs or sweeps and run nothing; may be written --report RUN RUN."""
    overrides: list[str] = setting([])
    """Settings laid over every trial, KEY=VALUE; may be written after --."""
    out: str | None = setting(None, path="out")
    """The sweep's folder, where a stopped sweep goes on; out/sweeps/NAME when null."""
    run_cap: int | None = setting(None, unit="trials", minimum=1, maximum=limits.STEPS)
    """Most trials; the file's run_cap when null."""
    seed: int = setting(0, minimum=0, maximum=limits.SEED)
    """Seed of random and bayes draws."""
    devices: Any = setting("auto")
    """auto (every GPU, else the CPU), cpu, or indices of GPUs such as 0,1."""
    workers: int | None = setting(None, unit="trials", minimum=1, maximum=limits.PROCESSES)
    """Trials at once; one a GPU, or one a core and at most 4, when null."""
    search: str | None = setting(None, path="folder")
    """A run of vitvis.search: activations are compared with the dataset's best."""
    retry: bool = setting(False)
    """Run settings that failed before once more."""
    give_up: int = setting(5, unit="trials", minimum=0, maximum=limits.STEPS)
    """Stop when the first so many trials all fail; 0: never."""
    poll_s: float = setting(5.0, unit="s", minimum=0.05, maximum=3600)
    """How often early_terminate looks at running trials."""
    columns: int = setting(16, unit="settings", minimum=1, maximum=1000)
    """Settings side by side on the sheet, the best ones."""
    rows: int = setting(32, unit="units", minimum=1, maximum=10000)
    """Units on the sheet, spread over depth."""
