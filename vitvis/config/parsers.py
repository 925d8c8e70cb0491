"""Readers of settings that take words, numbers or lists alike; each has one place, here."""

from __future__ import annotations

from typing import Any

from vitvis.config.limits import PIXELS, PROCESSES
from vitvis.config.values import coerce, shown, split_list
from vitvis.errors import VitvisError, nearest

__all__ = ["TOKENS", "parse_devices", "parse_tokens"]

#: Words for tokens.
TOKENS = ("patches", "cls", "all")
_BOX = "a box is [top,left,bottom,right] in patches"


def parse_tokens(value: Any) -> str | int | list[int]:
    """Read which tokens of a site count: one of `TOKENS`, the row-major index of a patch, or a box.

    Args:
        value: A word; a whole number, negative from the last patch on; `[top, left, bottom, right]` in patches, bottom
            and right exclusive; or a text of one of these.

    Raises:
        VitvisError: it is none of them.
    """
    word = value.strip() if isinstance(value, str) else value
    if isinstance(word, str) and word in TOKENS:
        return word
    items = split_list(word.replace("(", "[").replace(")", "]")) if isinstance(word, str) else word
    items = list(items) if isinstance(items, list | tuple) else [items]
    try:
        numbers = [coerce(item, int, "tokens") for item in items]
    except VitvisError:
        numbers = []
    listed = isinstance(word, list | tuple) or isinstance(word, str) and word.startswith(("[", "("))
    if len(numbers) == 1 and not listed:
        if abs(numbers[0]) > PIXELS**2:
            raise VitvisError(f"tokens={shown(value)}: no image has so many patches")
        return numbers[0]
    if len(numbers) == 4:
        top, left, bottom, right = numbers
        if not (0 <= top < bottom <= PIXELS and 0 <= left < right <= PIXELS):
            raise VitvisError(f"tokens={shown(value)}: {_BOX}, bottom and right exclusive")
        return numbers
    hint = nearest(word, TOKENS) if isinstance(word, str) else ""
    raise VitvisError(f"tokens={shown(value)}: give {', '.join(TOKENS)}, or the index of a patch; {_BOX}{hint}")


def parse_devices(value: Any) -> str | int | list[int]:
    """Read which devices of this machine work: `auto`, how many, or a list of their indices.

    Raises:
        VitvisError: it is none of them.
    """
    if isinstance(value, str) and value.strip().lower() == "auto":
        return "auto"
    listed = isinstance(value, list | tuple) or isinstance(value, str) and ("[" in value or "," in value)
    items = split_list(value) if isinstance(value, str) else list(value) if listed else [value]
    try:
        numbers = [coerce(item, int, "devices") for item in items]
    except VitvisError:
        numbers = []
    if numbers == [-1] and not listed:  # Lightning's word for it
        return "auto"
    lowest = 0 if listed else 1
    if not numbers or not all(lowest <= number <= PROCESSES for number in numbers):
        raise VitvisError(f"devices={shown(value)}: give how many, a list of indices such as [0,1], or auto for all")
    if len(set(numbers)) < len(numbers):
        raise VitvisError(f"devices={shown(value)}: a device stands twice")
    return numbers if listed else numbers[0]
