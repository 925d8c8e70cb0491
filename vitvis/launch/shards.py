"""One share of a run: independent processes, started by any engine at any time, on one folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from vitvis.config.limits import PROCESSES
from vitvis.config.values import shown
from vitvis.errors import VitvisError

__all__ = ["Shard", "parse_shard"]

T = TypeVar("T")


@dataclass(frozen=True)
class Shard:
    """Which share of the work a process does.

    Attributes:
        index: 0 .. count - 1, as SLURM arrays and Kubernetes indexed jobs count.
        count: Shares there are.
    """

    index: int
    count: int

    @property
    def name(self) -> str:
        """Return `3-of-8`, for names of files."""
        return f"{self.index}-of-{self.count}"

    def own(self, items: Sequence[T]) -> list[T]:
        """Return the items of this share: every `count`-th, whatever is done already."""
        return list(items[self.index :: self.count])

    @classmethod
    def of(cls, text: str | None) -> Shard:
        """Return the share that a setting `shard` names; all of the work when it is null."""
        index, count = (text or "0/1").split("/")
        return cls(int(index), int(count))


def parse_shard(value: Any) -> str:
    """Read `I/N`: the share I (0 .. N - 1) of N.

    Raises:
        VitvisError: it is none.
    """
    match = re.fullmatch(r"\s*(\d{1,6})\s*/\s*(\d{1,6})\s*", str(value))
    if match is None:
        raise VitvisError(f"shard={shown(value)}: is written I/N, share I (0 to N - 1) of N, such as 3/8")
    index, count = int(match[1]), int(match[2])
    if not 1 <= count <= PROCESSES:
        raise VitvisError(f"shard={shown(value)}: N has to be 1 to {PROCESSES}")
    if index >= count:
        raise VitvisError(f"shard={shown(value)}: shares of {count} are numbered 0 to {count - 1}")
    return f"{index}/{count}"
