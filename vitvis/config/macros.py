"""The forms in which W&B agents write settings on a command line, turned into the plain `key=value`.

A sweep file's `command:` may hold `${args}` (`--a.b=c`), `${args_no_hyphens}` (`a.b=c`), `${args_no_equals}`
(`--a.b c`), `${args_no_boolean_flags}` (`--a.b` for true, nothing for false), `${args_append_hydra}` (`+a.b=c`),
`${args_override_hydra}` (`++a.b=c`), `${args_json}` (one JSON object) and `${args_json_file}` (the path of one).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from vitvis.config.values import group_of, members

__all__ = ["plain_arguments"]

_HYDRA = re.compile(r"\+{1,2}(?=[A-Za-z_][\w.]*=)")
_OVERRIDE = re.compile(r"(--|\+{0,2})[A-Za-z_][\w.]*=")
_FLAGS = {"--help", "--print-config", "--version", "--config"}


def plain_arguments(argv: Sequence[str], types: dict[str, Any]) -> list[str]:
    """Return `argv` with W&B's forms rewritten as `key=value` and `--config FILE`; all else stays as it is.

    Args:
        argv: The arguments after the program's name.
        types: Declared type of every setting by its dotted name. A bare `--key` means true only where the type
            takes true, so that a forgotten value of any other setting stays an error.
    """
    plain: list[str] = []
    rest = list(argv)
    while rest:
        argument = rest.pop(0)
        following = rest[0] if rest else None
        if argument == "--config" and following is not None:
            plain += [argument, rest.pop(0)]
        elif argument.startswith("--") and "=" not in argument and argument not in _FLAGS:
            hint = types.get(argument[2:])
            if not _is_value(following, hint, types) and _takes_true(hint):
                plain.append(f"{argument[2:]}=true")
            else:
                plain += [argument, rest.pop(0)] if following is not None else [argument]
        elif _HYDRA.match(argument):
            plain.append(_HYDRA.sub("", argument, count=1))
        elif argument.startswith("{") and (mapping := _json_object(argument)) is not None:
            plain += [f"{key}={_text(value)}" for key, value in mapping.items()]
        elif argument.endswith(".json") and "=" not in argument:
            plain += ["--config", argument]
        else:
            plain.append(argument)
    return plain


def _is_value(text: str | None, hint: Any, types: dict[str, Any]) -> bool:
    """Say whether `text` can be the value of the `--key` before it, and is not the next setting."""
    if text is None or text.startswith("--"):
        return False
    if text.startswith("{"):  # the mapping of a group; after a plain flag, the object of ${args_json}
        return group_of(hint) is not None
    match = _OVERRIDE.match(text)
    return match is None or match.group().strip("+-=").partition(".")[0] not in types


def _takes_true(hint: Any) -> bool:
    return hint is not None and (bool in members(hint) or group_of(hint) is not None)


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
