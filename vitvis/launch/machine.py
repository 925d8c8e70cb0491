"""What this machine has."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cgroup_limit", "machine_memory"]

#: Where Linux says how much memory a container may use: version 2, then version 1 of control groups.
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def machine_memory() -> int | None:
    """Return the bytes of memory that this process may use at most: the machine's, or its container's if less.

    None where the system does not say.
    """
    try:
        whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows, or an old system
        return None
    limit = cgroup_limit()
    return whole if limit is None else min(whole, limit)


def cgroup_limit() -> int | None:
    """Return the bytes that the control group of this process may use, or None where there is no limit."""
    for path in _LIMITS:
        try:
            return int(Path(path).read_text())
        except (OSError, ValueError):  # not there, or `max`
            continue
    return None
