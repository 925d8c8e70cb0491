"""`--help`, written from the schema: every setting with its help, unit, choices and default."""

from __future__ import annotations

import shutil
import sys
import textwrap
from dataclasses import MISSING, Field, is_dataclass
from typing import Any

from vitvis.config.command import COMMON, Command
from vitvis.config.core import iterate_settings
from vitvis.config.values import group_of, members

__all__ = ["format_help"]

_COLUMN = 30


def format_help(command: Command, width: int | None = None) -> str:
    """Return the help text of a command."""
    width = width or min(shutil.get_terminal_size((110, 24)).columns, 120)
    lines = [f"usage: {command.usage}", "", *textwrap.wrap(command.description, width)]
    if command.examples:
        lines += ["", _heading("examples")] + [f"  {example}" for example in command.examples]
    plain, groups = [], []
    for name, item, hint in iterate_settings(command.settings):
        group = group_of(hint)
        if group is not None:
            off = " (off)" if _default(item) is None else " (null: off)" if type(None) in members(hint) else ""
            groups += ["", _heading(f"{name}: {item.metadata.get('help', '')}{off}")]
        elif "." in name:
            groups += _entry(name, item, width)
        else:
            plain += _entry(name, item, width)
    lines += ["", _heading("settings (key=value, --key=value or --key value; the last one wins)")] + plain + groups
    lines += ["", _heading("other options")]
    for name, option in {**command.options, **COMMON}.items():
        lines += _two_columns(f"{name} {option.value}".strip(), option.help, width)
    return "\n".join(lines)


def _entry(name: str, item: Field, width: int) -> list[str]:
    rules = item.metadata
    text = rules.get("help", "")
    if rules.get("choices"):
        text += f" ({' | '.join(rules['choices'])})"
    unit = f" {rules['unit']}" if rules.get("unit") else ""
    default = _default(item)
    shown = "null" if default is None else str(default).lower() if isinstance(default, bool) else _show(default)
    return _two_columns(name, f"{text} [{shown}{unit if default is not None else f',{unit}' if unit else ''}]", width)


def _show(default: Any) -> str:
    if isinstance(default, list):
        return ", ".join(str(item) for item in default) or "empty"
    return str(default) if default != "" else "empty"


def _default(item: Field) -> Any:
    if item.default_factory is not MISSING:
        made = item.default_factory()
        return type(made).__name__ if is_dataclass(made) else made
    return None if item.default is MISSING else item.default


def _two_columns(left: str, right: str, width: int) -> list[str]:
    body = textwrap.wrap(right, max(width - _COLUMN - 2, 30)) or [""]
    first = f"  {left:<{_COLUMN - 2}}"
    head = [first + "  " + body[0]] if len(left) <= _COLUMN - 2 else [f"  {left}", " " * (_COLUMN + 2) + body[0]]
    return head + [" " * (_COLUMN + 2) + line for line in body[1:]]


def _heading(text: str) -> str:
    return f"\033[1m{text}\033[0m" if sys.stdout.isatty() else text
