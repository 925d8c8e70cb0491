"""A plain register of names, so that a user adds an image, an augmentation or a regulariser in five lines."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
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
        """Return a decorator that adds what it decorates under `name`.

        A later one takes the place of an earlier one, with a warning unless it is the same thing defined again, as a
        notebook cell that is run twice does.
        """

        def add(entry: T) -> T:
            before = self._entries.get(name)
            if before is not None and _origin(before) != _origin(entry):
                warnings.warn(f"the {self.family} '{name}' is replaced by another one", stacklevel=2)
            self._entries[name] = entry
            return entry

        return add

    def remove(self, name: str) -> T:
        """Take an entry out, and return it.

        Raises:
            VitvisError: there is none of that name.
        """
        entry = self[name]
        del self._entries[name]
        return entry

    def list(self, pattern: str = "*") -> list[str]:
        """Return the names that match a shell pattern, sorted."""
        return sorted(name for name in self._entries if fnmatchcase(name, pattern))

    def __getitem__(self, name: str) -> T:
        if name not in self._entries:
            raise VitvisError(
                f"no {self.family} is called '{name}'{nearest(name, self)} (there are: {', '.join(self)})"
            )
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def _origin(entry: object) -> tuple[str, str]:
    """Say where an entry was defined: module and name of a function or class, or of what it wraps."""
    inner = getattr(entry, "penalty", entry)
    return str(getattr(inner, "__module__", "")), str(getattr(inner, "__qualname__", repr(inner)))
