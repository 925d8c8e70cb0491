"""How many cores this process may use: what the system, its scheduler and its container leave to it."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path

__all__ = ["SHARE", "count_cores"]

#: Variable that holds how many cores this process may use, where a sweep has shared them out among its trials.
SHARE = "VITVIS_CORES"


def count_cores(root: str | Path = "/") -> int:
    """Return the cores that this process may use, at least 1.

    The smallest of its affinity (`taskset`, SLURM), the quota of its control groups (Docker's `--cpus`, Kubernetes),
    rounded up, and `VITVIS_CORES`.

    Args:
        root: Where `proc` and `sys` are; for tests.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = os.environ.get(SHARE, "")
    if share.isdigit():
        cores = min(cores, int(share))
    return max(1, min(cores, math.ceil(min(_quotas(Path(root)), default=cores))))


def _quotas(root: Path) -> list[float]:
    """Return the quotas in cores of all control groups that this process is in (versions 2 and 1)."""
    groups = {"": "/", "cpu": "/"}
    with suppress(OSError, ValueError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, place = line.split(":", 2)
            for name in controllers.split(","):
                groups[name] = place
    found: list[float] = []
    for base, place in ((root / "sys/fs/cgroup", groups[""]), (root / "sys/fs/cgroup/cpu", groups["cpu"])):
        parts = [part for part in place.split("/") if part and part != ".."]
        for depth in range(len(parts) + 1):
            found += _quota(base.joinpath(*parts[:depth]))
    return found


def _quota(folder: Path) -> list[float]:
    with suppress(OSError, ValueError):
        quota, period = (folder / "cpu.max").read_text().split()
        return [] if quota == "max" else [int(quota) / int(period)]
    with suppress(OSError, ValueError):
        microseconds = int((folder / "cpu.cfs_quota_us").read_text())
        return [microseconds / int((folder / "cpu.cfs_period_us").read_text())] if microseconds > 0 else []
    return []
