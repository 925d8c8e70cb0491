"""A plain register of names, so that a user adds an image, an augmentation or a regulariser in five lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from vitvis.errors import VitvisError, nearest

__all__ = ["Registry"]

T = TypeVar("T")


class Registry(Generic[T]):
    """Things of one family by name.

    Args:
        family: what they are called in an error, such as `regulariser`.
    """

    def __init__(self, family: str) -> None:
        self.family = family
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that adds what it decorates under `name`; a later one replaces an earlier one."""

        def add(entry: T) -> T:
            self._entries[name] = entry
            return entry

        return add

    def __getitem__(self, name: str) -> T:
        if name not in self._entries:
            raise VitvisError(
                f"no {self.family} is called '{name}'{nearest(name, self)} (there are: {', '.join(self)})"
            )
        return self._entries[name]

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)
