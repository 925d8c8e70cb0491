"""Fields of settings: how one is declared, what it says of itself, and which values it takes."""

from __future__ import annotations

import ast
import copy
import inspect
import math
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields, is_dataclass
from typing import Any, TypeVar, get_type_hints

from vitvis.config.paths import Path_, check_path
from vitvis.config.values import group_of, shown
from vitvis.errors import VitvisError, nearest

__all__ = ["Rules", "check", "help_texts", "iterate_settings", "ready", "require", "rules_of", "setting"]


S = TypeVar("S")


@dataclass(frozen=True)
class Rules:
    """What a field takes beyond its type; see `setting`."""

    unit: str = ""
    choices: Sequence[str] | None = None
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    below: float | None = None
    length: tuple[int, int] | None = None
    unique: bool = False
    path: Path_ | None = None
    words: Sequence[str] = ()
    parser: Callable[[Any], Any] | None = None
    required: str = ""


def setting(default: Any, help: str = "", **rules: Any) -> Any:
    """Declare one field of a settings dataclass.

    Args:
        default: Default value, or a settings dataclass (type or instance) for a group; mutable ones are copied.
        help: For `--help`, where no text stands below the field.
        **rules: `unit`: of the value, such as `px`. `choices`: the words that are allowed, if only some are.
            `minimum`, `maximum`: the smallest and largest number allowed; `above`, `below`: bounds that it may not
            touch. `length`: fewest and most entries of a list. `unique`: no entry stands twice. `path`: what a path
            leads to (see `Path_`), where `~` is the home folder; `words`: what is no path there. `parser`: reads what
            the user wrote (a text, or what YAML made of it) before the declared type does. `required`: what to say
            where a run is asked for and the value is null or empty. NaN and infinity are taken nowhere.
    """
    metadata = {"rules": Rules(**rules), "help": help}
    if isinstance(default, type) and is_dataclass(default):
        return field(default_factory=default, metadata=metadata)
    if isinstance(default, list | dict | set) or is_dataclass(default):
        return field(default_factory=lambda: copy.deepcopy(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def rules_of(item: Field) -> Rules:
    """Return the rules of a field; none for one that was declared without `setting`."""
    return item.metadata.get("rules") or Rules()


def iterate_settings(schema: Any, prefix: str = "") -> Iterator[tuple[str, Field, Any]]:
    """Yield `(dotted name, field, declared type)` of every setting of a schema, groups before what they hold."""
    hints = get_type_hints(schema)
    for item in fields(schema):
        name = prefix + item.name
        yield name, item, hints[item.name]
        group = group_of(hints[item.name])
        if group is not None:
            yield from iterate_settings(group, f"{name}.")


def help_texts(schema: Any) -> dict[str, str]:
    """Return the help of every setting by its dotted name: the text below its field, without the last full stop."""
    hints, texts = get_type_hints(schema), _texts_below_fields(schema)
    found: dict[str, str] = {}
    for item in fields(schema):
        found[item.name] = texts.get(item.name) or item.metadata.get("help", "")
        group = group_of(hints[item.name])
        if group is not None:
            found |= {f"{item.name}.{name}": text for name, text in help_texts(group).items()}
    return found


def _texts_below_fields(schema: type) -> dict[str, str]:
    texts: dict[str, str] = {}
    for kind in (kind for kind in reversed(schema.__mro__) if is_dataclass(kind)):
        tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
        body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
        for statement, below in zip(body, body[1:], strict=False):
            if isinstance(statement, ast.AnnAssign) and isinstance(below, ast.Expr):
                text = str(ast.literal_eval(below.value))
                texts[ast.unparse(statement.target)] = " ".join(text.split()).removesuffix(".")
    return texts


def check(settings: Any) -> None:
    """Check what types alone do not say: choices, ranges, lengths.

    Raises:
        VitvisError: naming the setting and what it takes.
    """
    for where, value, rules in _values(settings):
        _check_finite(value, where)
        entries = value if isinstance(value, list) else [value]
        if isinstance(value, list) and rules.length and not rules.length[0] <= len(value) <= rules.length[1]:
            least, most = rules.length
            words = "" if least == most else "at least " if len(value) < least else "at most "
            number = least if len(value) < least else most
            raise VitvisError(f"{where}={shown(value)}: has {len(value):,} entries, and takes {words}{number:,}")
        if rules.unique and len(set(entries)) < len(entries):
            twice = next(entry for number, entry in enumerate(entries) if entry in entries[:number])
            raise VitvisError(f"{where}: {shown(twice)} stands twice")
        for entry in entries:
            _check_entry(entry, where, rules)


def require(settings: Any) -> Any:
    """Return settings in which nothing is missing that a run needs.

    Raises:
        VitvisError: a setting declared with `required` is null or empty.
    """
    for _, value, rules in _values(settings):
        if rules.required and value in (None, "", []):
            raise VitvisError(rules.required)
    return settings


def ready(settings: S) -> S:
    """Return settings that a run can start with: nothing is missing, and paths lead to what they are meant to.

    Raises:
        VitvisError: naming the setting.
    """
    require(settings)
    for where, value, rules in _values(settings):
        if rules.path is not None:
            for entry in value if isinstance(value, list) else [value]:
                if entry not in rules.words:
                    check_path(entry, rules.path, where)
    return settings


def _values(settings: Any, prefix: str = "") -> Iterator[tuple[str, Any, Rules]]:
    """Yield dotted name, value and rules of every setting that is no group."""
    for item in fields(settings):
        value = getattr(settings, item.name)
        if is_dataclass(value):
            yield from _values(value, f"{prefix}{item.name}.")
        else:
            yield prefix + item.name, value, rules_of(item)


def _check_entry(entry: Any, where: str, rules: Rules) -> None:
    if rules.choices and entry is not None and entry not in rules.choices:
        raise VitvisError(
            f"{where}={shown(entry)}{nearest(entry, rules.choices)} (choices: {', '.join(rules.choices)})"
        )
    if isinstance(entry, bool) or not isinstance(entry, int | float):
        return
    for fits, bound, words in (
        (rules.minimum is None or entry >= rules.minimum, rules.minimum, "at least"),
        (rules.maximum is None or entry <= rules.maximum, rules.maximum, "at most"),
        (rules.above is None or entry > rules.above, rules.above, "above"),
        (rules.below is None or entry < rules.below, rules.below, "below"),
    ):
        if not fits:
            raise VitvisError(f"{where}={shown(entry)}: has to be {words} {bound:,}")


def _check_finite(value: Any, where: str) -> None:
    """Refuse NaN and infinity at any depth."""
    if isinstance(value, float) and not math.isfinite(value):
        raise VitvisError(f"{where}={value}: has to be a finite number")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _check_finite(inner, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for inner in value:
            _check_finite(inner, where)
