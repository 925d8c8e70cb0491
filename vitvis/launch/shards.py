"""One share of a run: independent processes, started by any engine at any time, on one folder."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from vitvis.config.limits import PROCESSES
from vitvis.config.values import shown
from vitvis.errors import VitvisError
from vitvis.runs.lock import FolderLock

__all__ = ["Shard", "deal", "hold", "nothing_to_join", "parse_shard", "unfinished"]

#: Seconds that a shard waits for another one that joins what all have found.
JOINING = 3600.0

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
        """Return the items of this share, see `deal`."""
        return deal(items, self.index, self.count)

    @classmethod
    def of(cls, text: str | None) -> Shard:
        """Return the share that a setting `shard` names; all of the work when it is null."""
        index, count = (text or "0/1").split("/")
        return cls(int(index), int(count))


def deal(items: Sequence[T], index: int, count: int) -> list[T]:
    """Return the items of one of `count` shares, in their order.

    Dealt to and fro (0 1 2 2 1 0 0 1 2 ...): items stand from cheap to dear, and so the shares come out alike. The deal
    is over all items, done or not: shares start at different moments and see different things done.
    """
    turn = 2 * count
    return [item for place, item in enumerate(items) if place % turn in (index, turn - 1 - index)]


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


@contextmanager
def hold(folder: Path, shard: str | None = None, *, join: bool = False) -> Iterator[None]:
    """Have a share of the work in a folder to oneself within the block, or all of it.

    For commands that add to the folder of another run; a run of its own has a `RunFolder`, which does the same.

    Args:
        folder: Where the work is done; made where it is missing.
        shard: The share, `I/N`; all of the work when None.
        join: All is done, and what was found is joined: shards may be alive, and one that joins is waited for.

    Raises:
        VitvisError: another process works on the same share, or on the whole, or on any share of what is asked for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FolderLock(folder, Shard.of(shard).name if shard else "")
    lock.acquire(JOINING if join else 0.0)
    try:
        if shard and FolderLock(folder).is_held():
            raise VitvisError(f"{folder}: a run that is no shard is working in this folder; wait for it")
        others = [] if shard or join else FolderLock.live_shards(folder)
        if others:
            raise VitvisError(f"{folder}: the shard {others[0]} is being worked on in this folder; wait for it")
        yield
    finally:
        lock.release()
        if not FolderLock.live_shards(folder):
            FolderLock.forget_shards(folder)


def nothing_to_join(folder: Path | str) -> VitvisError:
    """Return what `finish=true` says where no shard has begun; nothing is written then."""
    return VitvisError(
        f"{folder}: finish=true, but no shard has done anything here yet; start them, or leave finish=true out to do"
        " all of it here"
    )


def unfinished(folder: Path, left: int | None, total: int | None) -> VitvisError:
    """Return what `finish=true` says where a share is missing; None for a number that the data does not tell."""
    how_many = "some" if left is None or total is None else f"{left:,} of {total:,}"
    return VitvisError(
        f"{folder}: finish=true, but {how_many} batches are not done yet; start the shards that are missing,"
        " or leave finish=true out to do them here"
    )
