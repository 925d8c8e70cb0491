"""Turn what people type into the type that a setting is declared with.

Command lines, W&B agents (which send everything through `str()`) and YAML files write the same value in different
ways: `None`, `null`, `1e-3`, `[a,b]`, `blocks.{0,5}.mlp:0-7`. The declared type decides what a text means, so that a
unit address is never taken for a YAML mapping and `weights=none` stays a word.
"""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any, Union, get_args, get_origin

from vitvis.config.limits import DIGITS
from vitvis.errors import VitvisError

__all__ = [
    "coerce",
    "describe",
    "flatten",
    "flatten_values",
    "group_of",
    "is_null",
    "members",
    "shown",
    "split_list",
]

_NULLS = {"none", "null", "~", ""}
_TRUE = {"true", "yes", "on", "1"}
_FALSE = {"false", "no", "off", "0"}
_QUOTES = "'\""
_CLOSING = {"[": "]", "{": "}", "(": ")"}
_INT = re.compile(r"[+-]?\d[\d_]*$")
_FLOAT = re.compile(r"[+-]?(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)([eE][+-]?\d+)?$|[+-]?\.?(inf|nan)$", re.IGNORECASE)


def is_null(value: object) -> bool:
    """Say whether `value` is None or a text that means it (`None`, `null`, `~`, nothing)."""
    return value is None or (isinstance(value, str) and value.strip().lower() in _NULLS)


def shown(value: object, length: int = 60) -> str:
    """Return a value as an error shows it: short, on one line, and in any case."""
    try:
        text = value if isinstance(value, str) else str(value)
    except ValueError:  # Python writes no number of more than 4,300 digits
        return "a number of thousands of digits"
    text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return text if len(text) <= length else f"{text[: length - 4]} ..."


def members(hint: Any) -> tuple[Any, ...]:
    """Return the alternatives of a type: `(int, NoneType)` for `int | None`, `(int,)` for `int`."""
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def group_of(hint: Any) -> type | None:
    """Return the dataclass in `hint` (`Group` or `Group | None`), or None when there is none."""
    return next((member for member in members(hint) if isinstance(member, type) and is_dataclass(member)), None)


def describe(hint: Any) -> str:
    """Say in words what a type takes: `a whole number or null`."""
    words = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "a text",
        type(None): "null",
        list: "a list",
        dict: "a mapping",
    }
    return " or ".join(words.get(get_origin(member) or member, "any value") for member in members(hint))


def split_list(text: str) -> list[str]:
    """Split `a, b` or `[a, b]` at its commas, but not at those within brackets, braces or quotes."""
    text = text.strip()
    if text.startswith("[") and _closes_at_end(text):
        text = text[1:-1]
    parts: list[str] = []
    start, stack, quote = 0, [], ""
    for position, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in _QUOTES and (not text[start:position].strip() or text[position - 1] in ":+"):  # also text:"a, b"
            quote = char
        elif char in _CLOSING:
            stack.append(_CLOSING[char])
        elif stack and char == stack[-1]:
            stack.pop()
        elif char == "," and not stack:
            parts.append(text[start:position])
            start = position + 1
    parts.append(text[start:])
    return [_unquote(part) for part in parts if part.strip()]


def coerce(value: Any, hint: Any, where: str, *, typed: bool = True) -> Any:
    """Return `value` as the type `hint`.

    Args:
        value: A text from the command line, or what YAML made of a file.
        hint: The declared type: `bool`, `int`, `float`, `str`, `list[...]`, `dict[str, ...]`, `Any`, unions of them.
        where: The setting's dotted name, for errors.
        typed: Whether `value` was typed on a command line, where a text for `Any` may mean a number;
            in YAML a text is a text.

    Raises:
        VitvisError: `value` can't be read as `hint`.
    """
    if isinstance(value, str) and "${" in value:  # replaced once all layers are laid
        return value
    if getattr(value, "ndim", None) == 0:
        value = value.item()  # a scalar of numpy or torch
    options = members(hint)
    if is_null(value) and (type(None) in options or Any in options):
        return None
    if value is None and str in options:  # `weights: null` and W&B's str(None) both mean the word none
        return "none"
    if not typed and type(value) in options and not isinstance(value, list | dict):
        return value
    for kind in (bool, int, float, list, dict, Any, str):
        option = next((item for item in options if (get_origin(item) or item) is kind), None)
        if option is None:
            continue
        found, result = _read(value, kind, option, where, typed)
        if found:
            return result
    raise VitvisError(f"{where}={shown(value)}: is not {describe(hint)}")


def _read(value: Any, kind: Any, option: Any, where: str, typed: bool) -> tuple[bool, Any]:
    """Try one alternative; return whether it fits, and the value."""
    text = value.strip() if isinstance(value, str) else None
    if kind is bool:
        if isinstance(value, bool):
            return True, value
        word = text.lower() if text is not None else str(value)
        return word in _TRUE | _FALSE, word in _TRUE
    if kind is int:
        return _read_int(value, text)
    if kind is float:
        if text is not None and _FLOAT.match(text):
            return True, _float(text)
        return isinstance(value, int | float) and not isinstance(value, bool), value
    if kind is list:
        items = split_list(value) if isinstance(value, str) else value if isinstance(value, list | tuple) else [value]
        (element,) = get_args(option) or (Any,)
        return True, [coerce(item, element, f"{where}[{index}]", typed=typed) for index, item in enumerate(items)]
    if kind is dict:
        mapping = _read_yaml(value, where) if text is not None and text.startswith("{") else value
        return isinstance(mapping, Mapping), mapping
    if kind is Any:
        return True, _guess(value, where) if typed and isinstance(value, str) else value
    if isinstance(value, Mapping | list | tuple):
        return False, value
    if text is None:
        return True, str(value).lower() if isinstance(value, bool) else str(value)
    return True, "none" if typed and text in {"None", "null"} else _unquote(value) if typed else value


def _read_int(value: Any, text: str | None) -> tuple[bool, Any]:
    if isinstance(value, bool):
        return False, value
    if text is not None:
        if _INT.match(text):
            return _short(text), int(text) if _short(text) else text
        value = _float(text) if _FLOAT.match(text) else None
    if isinstance(value, float) and value.is_integer():  # a quantised sweep sends 400.0
        return True, int(value)
    return isinstance(value, int), value


def _float(text: str) -> float:
    return float(text.lower().replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))


def _short(number: str) -> bool:
    return len(number.strip("+-")) <= DIGITS


def _guess(text: str, where: str) -> Any:
    """Read a text for a setting of any type: null, true, numbers, lists, mappings, else the text itself."""
    stripped = text.strip()
    word = stripped.lower()
    if word in _NULLS:
        return None
    if word in {"true", "false"}:
        return word == "true"
    if _INT.match(stripped) and _short(stripped):
        return int(stripped)
    if _FLOAT.match(stripped):
        return _float(stripped)
    if stripped.startswith("[") and _closes_at_end(stripped):
        return [_guess(item, where) for item in split_list(stripped)]
    if stripped.startswith("{") and _closes_at_end(stripped) and ":" in stripped:
        return _read_yaml(stripped, where)
    return _unquote(text)


def _read_yaml(text: str, where: str) -> Any:
    from vitvis.config.yaml_text import load_yaml

    try:
        return load_yaml(text)
    except ValueError as error:
        raise VitvisError(f"{where}={shown(text)}: can't be read as a mapping ({error})") from None


def _closes_at_end(text: str) -> bool:
    """Say whether the bracket that opens `text` is closed by its last character."""
    stack = []
    for position, char in enumerate(text):
        if char in _CLOSING:
            stack.append(_CLOSING[char])
        elif stack and char == stack[-1]:
            stack.pop()
            if not stack:
                return position == len(text) - 1
    return False


def _unquote(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) >= 2 and text[0] in _QUOTES and text[-1] == text[0] else text


def flatten_values(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one, `{"optim.lr": 0.05}`; an empty one stays as it is."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        inner = isinstance(value, Mapping) and value
        flat |= flatten_values(value, f"{prefix}{key}.") if inner else {f"{prefix}{key}": value}
    return flat


def flatten(settings: Mapping[str, Any]) -> list[str]:
    """Return nested settings as overrides `a.b=c` that read back as the same values."""
    flat = flatten_values(settings)
    return [f"{name}={_write(value)}" for name, value in flat.items() if not isinstance(value, Mapping)]


def _write(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(_write_item(item) for item in value)}]"
    return "null" if value is None else str(value)


def _write_item(value: Any) -> str:
    text = _write(value)
    return f'"{text}"' if isinstance(value, str) and '"' not in text and re.search(r"[\s,']", text) else text
