"""The name of a recipe: a hash of everything that decides what an image looks like."""

from __future__ import annotations

import hashlib
import json
from typing import Any

__all__ = ["digest", "recipe_hash"]


def recipe_hash(recipe: dict[str, Any]) -> str:
    """Return 12 hex digits that name a recipe.

    Key order does not count, nor whether a number was written `1` or `1.0`.
    """
    return digest(recipe, 12)


def digest(value: Any, length: int) -> str:
    """Return the first `length` hex digits of the SHA-256 of a plain value (dicts, lists, scalars)."""
    text = json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)
