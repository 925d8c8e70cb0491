"""`--help`, written from the schema: every setting with its help, unit, choices and default."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, is_dataclass
from typing import Any

from vitvis.config.fields import Rules, help_texts, iterate_settings, rules_of
from vitvis.config.values import group_of, members

__all__ = ["format_help"]

_COLUMN = 30


def format_help(schema: Any, usage: str, description: str, examples: Sequence[str], options: Mapping[str, str]) -> str:
    """Return the help text of a command whose settings are `schema`, and whose options are explained by `options`."""
    width = min(shutil.get_terminal_size((110, 24)).columns, 120)
    lines = [f"usage: {usage}", "", *textwrap.wrap(description, width)]
    if examples:
        lines += ["", _heading("examples")] + [f"  {example}" for example in examples]
    plain, groups = [], []
    texts = help_texts(schema)
    for name, item, hint in iterate_settings(schema):
        if group_of(hint) is not None:
            off = " (off)" if _default(item) is None else " (null: off)" if type(None) in members(hint) else ""
            groups += ["", _heading(f"{name}: {texts[name]}{off}")]
        elif "." in name:
            groups += _entry(name, texts[name], item, width)
        else:
            plain += _entry(name, texts[name], item, width)
    lines += ["", _heading("settings (key=value, --key=value or --key value; the last one wins)")] + plain + groups
    lines += ["", _heading("other options")]
    for option, text in options.items():
        lines += _two_columns(option, text, width)
    return "\n".join(lines)


def _entry(name: str, text: str, item: Field, width: int) -> list[str]:
    rules, default = rules_of(item), _default(item)
    if rules.choices:
        text += f" ({' | '.join(rules.choices)})"
    unit = f" {rules.unit}" if rules.unit else ""
    shown = "null" if default is None else str(default).lower() if isinstance(default, bool) else _show(default)
    unit = unit if default is not None else f",{unit}" if unit else ""
    return _two_columns(name, f"{text} [{shown}{unit}{_range(rules)}]", width)


def _range(rules: Rules) -> str:
    """Return `; 1 to 100`, or nothing where a setting has no bounds."""
    low = (
        f"{rules.minimum:,}"
        if rules.minimum is not None
        else f"above {rules.above:,}"
        if rules.above is not None
        else ""
    )
    high = (
        f"{rules.maximum:,}"
        if rules.maximum is not None
        else f"below {rules.below:,}"
        if rules.below is not None
        else ""
    )
    return f"; {low} to {high}" if low and high else f"; from {low}" if low else f"; up to {high}" if high else ""


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
