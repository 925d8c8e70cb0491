"""Settings of `python -m vitvis.sweep`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vitvis.config.core import setting

__all__ = ["SweepSettings"]


@dataclass
class SweepSettings:
    """Run a sweep file on this machine, or compare runs that are there."""

    spec: str | None = setting(None, "the sweep file, one that `wandb sweep` takes too; may be written without spec=")
    report: list[str] = setting([], "compare these runs or sweeps and run nothing; may be written --report RUN RUN")
    overrides: list[str] = setting([], "settings laid over every trial, KEY=VALUE; may be written after --")
    out: str | None = setting(None, "the sweep's folder, where a stopped sweep goes on; out/sweeps/NAME when null")
    run_cap: int | None = setting(None, "most trials; the file's run_cap when null", unit="trials", minimum=1)
    seed: int = setting(0, "seed of random and bayes draws", minimum=0)
    devices: Any = setting("auto", "auto (every GPU, else the CPU), cpu, or indices of GPUs such as 0,1")
    workers: int | None = setting(None, "trials at once; one a GPU, or one a core and at most 4, when null",
                                  unit="trials", minimum=1)  # fmt: skip
    search: str | None = setting(None, "a run of vitvis.search: activations are compared with the dataset's best")
    retry: bool = setting(False, "run settings that failed before once more")
    give_up: int = setting(5, "stop when the first so many trials all fail; 0: never", unit="trials", minimum=0)
    poll_s: float = setting(5.0, "how often early_terminate looks at running trials", unit="s", minimum=0.05)
    columns: int = setting(16, "settings side by side on the sheet, the best ones", unit="settings", minimum=1)
    rows: int = setting(32, "units on the sheet, spread over depth", unit="units", minimum=1)
