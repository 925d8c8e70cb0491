"""Sort the words of a command line, in every form in which people and W&B's agents write settings.

A sweep file's `command:` may hold `${args}` (`--a.b=c`), `${args_no_hyphens}` (`a.b=c`), `${args_no_equals}`
(`--a.b c`), `${args_no_boolean_flags}` (`--a.b` for true, nothing for false), `${args_append_hydra}` (`+a.b=c`),
`${args_override_hydra}` (`++a.b=c`), `${args_json}` (one JSON object) and `${args_json_file}` (the path of one).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vitvis.config.values import group_of, members
from vitvis.errors import VitvisError, nearest

__all__ = ["Arguments", "sort_arguments"]

_OVERRIDE = re.compile(r"(?:--|\+{1,2})?([A-Za-z_][\w.]*)=")


@dataclass
class Arguments:
    """The words of a command line by what they are.

    Attributes:
        files: Of `--config`, in order.
        overrides: `key=value` without hyphens, in order.
        options: Value of each option that is there, "" where it takes none.
        words: What is none of these: for the setting that takes plain words.
        rest: What follows `--`; None without one.
    """

    files: list[str] = field(default_factory=list)
    overrides: list[str] = field(default_factory=list)
    options: dict[str, str] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    rest: list[str] | None = None


def sort_arguments(
    argv: Sequence[str], types: Mapping[str, Any], options: Mapping[str, bool], *, takes_words: bool = False
) -> Arguments:
    """Sort `argv`, the words after the program's name.

    Args:
        argv: The words.
        types: Declared type of every setting by its dotted name. A bare `--key` means true only where the type
            takes true, so that a forgotten value of any other setting stays an error.
        options: Options, and whether each takes a value; `--config` is one.
        takes_words: Whether plain words mean something.

    Raises:
        VitvisError: a word that is none of these, or a value that is missing.
    """
    found = Arguments()
    left = list(argv)
    while left:
        word = left.pop(0)
        name, equals, value = word.partition("=")
        override = _OVERRIDE.match(word)
        if word == "--":
            found.rest = left
            break
        if options.get(name):
            if not equals and not left:
                raise VitvisError(f"{name} needs a file: {name} FILE")
            found.options[name] = value if equals else left.pop(0)
            if name == "--config":
                found.files.append(found.options.pop(name))
        elif word in options:
            found.options[word] = ""
        elif override is not None and not (takes_words and _is_path(word, override[1], types)):
            found.overrides.append(word[override.start(1) :])
        elif word.startswith("--") and not equals:
            found.overrides.append(_flag(word, left, types, options))
        elif word.startswith("{") and (mapping := _json_object(word)) is not None:
            found.overrides += [
                f"{key}={item if isinstance(item, str) else json.dumps(item)}" for key, item in mapping.items()
            ]
        elif takes_words and not word.startswith("-"):
            found.words.append(word)
        elif word.endswith(".json") and not equals:
            found.files.append(word)
        else:
            raise VitvisError(
                f"can't read the argument '{word}': settings are written key=value"
                f"{nearest(word.lstrip('-'), [*types, *options])}"
            )
    return found


def _flag(word: str, left: list[str], types: Mapping[str, Any], options: Mapping[str, bool]) -> str:
    """Read `--key VALUE`, or `--key` alone where the setting takes true; takes the value out of `left`."""
    key = word[2:]
    hint = types.get(key)
    if left and _is_value(left[0], hint, types):
        return f"{key}={left.pop(0)}"
    if hint is not None and (bool in members(hint) or group_of(hint) is not None):
        return f"{key}=true"
    if hint is None:
        raise VitvisError(f"unknown option '{word}'{nearest(key, types) or nearest(word, options)}")
    raise VitvisError(f"{word} needs a value: {key}=VALUE (see --help)")


def _is_value(text: str, hint: Any, types: Mapping[str, Any]) -> bool:
    """Say whether `text` can be the value of the `--key` before it, and is not the next setting."""
    if text.startswith("--"):
        return False
    if text.startswith("{"):  # the mapping of a group; after a plain flag, the object of ${args_json}
        return group_of(hint) is not None
    match = _OVERRIDE.match(text)
    return match is None or match[1].partition(".")[0] not in types


def _is_path(word: str, key: str, types: Mapping[str, Any]) -> bool:
    """Say whether `a=b` is the name of something that is there, and no setting."""
    return key.partition(".")[0] not in types and Path(word).exists()


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
