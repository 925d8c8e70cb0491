"""Settings: a typed schema (dataclasses), layers of YAML and overrides on top of it, the last one wins.

Nothing heavy is imported here, so that `--help` takes a moment and not the time torch takes.
"""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import Field, asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, get_args, get_origin, get_type_hints

from vitvis.config.fields import check, iterate_settings, rules_of, setting
from vitvis.config.paths import expand_user
from vitvis.config.values import coerce, group_of, is_null, members, shown
from vitvis.config.yaml_text import dump_yaml, load_yaml
from vitvis.errors import VitvisError, nearest

__all__ = [
    "Layer",
    "iterate_settings",
    "merge",
    "recipe_names",
    "recipe_path",
    "setting",
    "to_container",
    "to_yaml",
]

S = TypeVar("S")
#: Bytes of a settings file: nobody writes more, and a reader of YAML would take minutes.
LARGEST_FILE = 1_000_000
_REFERENCE = re.compile(r"\$\{([^${}]*)\}")
#: What settings are read from: a mapping, a list of `a.b=c`, a YAML file, an instance of the schema, or nothing.
Layer: TypeAlias = Mapping[str, Any] | Sequence[str] | str | Path | object | None


def merge(schema: type[S], *layers: Layer) -> S:
    """Lay settings over the defaults of `schema`, the last layer wins.

    Args:
        schema: A settings dataclass.
        layers: Each a mapping (nested or with dotted keys), a list of `a.b=c`, the path of a YAML file, an
            instance of `schema`, or None for nothing. When one of them sets `recipe`, that shipped recipe is laid
            below all of them.

    Raises:
        VitvisError: naming the setting, and the nearest right spelling of an unknown one.
    """
    texts = [_read_layer(schema, layer) for layer in layers if layer is not None]
    chosen = next((layer["recipe"] for layer in reversed(texts) if layer.get("recipe")), None)
    if chosen is not None and any(item.name == "recipe" for item in fields(schema)):  # type: ignore[arg-type]
        texts.insert(0, _read_layer(schema, recipe_path(chosen)))
    merged: dict[str, Any] = {}
    for text in texts:
        _lay_over(merged, text)
    for key, value in list(_replaced(schema, merged, merged)):
        _lay_over(merged, _normalise(schema, {key: value}, typed=True))
    settings = _build(schema, merged)
    check(settings)
    return settings


def to_container(settings: Any) -> dict[str, Any]:
    """Return settings as plain dicts, lists and scalars."""
    return asdict(settings)


def to_yaml(settings: Any) -> str:
    """Return settings as YAML that `--config` loads again."""
    container = settings if isinstance(settings, Mapping) else to_container(settings)
    return dump_yaml(dict(container))


def _build(schema: type[S], values: Mapping[str, Any]) -> S:
    """Make an instance from values of the right types; what is not among them is at its default."""
    hints = get_type_hints(schema)
    read = dict(values)
    for name, value in values.items():
        group = group_of(hints[name])
        if isinstance(value, Mapping) and group is not None:
            read[name] = _build(group, value)
        elif isinstance(value, Mapping) and (element := _element_group(hints[name])) is not None:
            read[name] = {key: _build(element, item) for key, item in value.items()}
    return schema(**read)


def _element_group(hint: Any) -> type | None:
    """Return the dataclass that a `dict[str, Group]` holds."""
    return next((group for option in members(hint) for group in map(group_of, get_args(option)[1:]) if group), None)


def recipe_names() -> list[str]:
    """Return the names of the recipes that ship with vitvis: those of the YAML files in `configs/`."""
    return sorted(path.stem for path in _recipes_folder().glob("*.yaml"))


def recipe_path(name: str) -> Path:
    """Return the file of a shipped recipe, or of a recipe given by path."""
    if name.endswith((".yaml", ".yml")):
        return Path(name)
    path = _recipes_folder() / f"{name}.yaml"
    if not path.is_file():
        names = recipe_names()
        raise VitvisError(f"recipe={name}: no such recipe{nearest(name, names)} (there are: {', '.join(names)})")
    return path


def _recipes_folder() -> Path:
    package = Path(__file__).resolve().parents[1]
    installed = package / "_configs"  # where the wheel puts them; a clone has them at its top
    return installed if installed.is_dir() else package.parent / "configs"


def _read_layer(schema: Any, layer: Any) -> dict[str, Any]:
    if isinstance(layer, str | Path):
        return _normalise(schema, _load_yaml(Path(layer)), source=f" in {layer}", typed=False)
    if is_dataclass(layer) and not isinstance(layer, type):
        return _normalise(schema, asdict(layer), typed=False)
    if isinstance(layer, Mapping):
        return _normalise(schema, layer, typed=False)
    result: dict[str, Any] = {}
    for text in layer or ():
        key, equals, value = text.partition("=")
        if not equals:
            raise VitvisError(f"can't read the override '{text}': settings are written key=value")
        _lay_over(result, _normalise(schema, {key.strip(): value}, typed=True))
    return result


def _load_yaml(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        siblings = [str(item) for item in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        raise VitvisError(f"--config {path}: no such file{nearest(str(path), siblings)}")
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ValueError(f"is larger than {LARGEST_FILE:,} bytes")
        content = load_yaml(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise VitvisError(f"--config {path}: can't be read as YAML: {error}") from None
    if content is not None and not isinstance(content, Mapping):
        raise VitvisError(f"--config {path}: holds no settings")
    return content or {}


def _normalise(
    schema: Any, layer: Mapping[Any, Any], *, typed: bool, prefix: str = "", source: str = ""
) -> dict[str, Any]:
    """Check the keys of one layer against the schema and read its values as the declared types."""
    hints = get_type_hints(schema)
    by_name = {item.name: item for item in fields(schema)}
    result: dict[str, Any] = {}
    for key, value in layer.items():
        name, _, deeper = str(key).partition(".")
        if name not in by_name:
            raise VitvisError(f"unknown setting '{prefix}{key}'{source}{_suggest(prefix + str(key), schema, prefix)}")
        where, hint = prefix + name, hints[name]
        value = {deeper: value} if deeper else value
        group = group_of(hint)
        if group is not None:
            read = _read_group(group, hint, value, where, typed, source)
        elif deeper and dict not in [get_origin(member) or member for member in members(hint)]:
            raise VitvisError(f"unknown setting '{where}.{deeper}'{source}: {where} is one value and holds no others")
        elif isinstance(value, Mapping):
            read = _open_mapping(hint, value, where, typed, source)
        else:
            read = _read_value(by_name[name], hint, value, prefix, typed)
        if isinstance(read, dict) and isinstance(result.get(name), dict):
            _lay_over(result[name], read)
        else:
            result[name] = read
    return result


def _read_value(item: Field, hint: Any, value: Any, prefix: str, typed: bool) -> Any:
    """Read one value that is no group and no mapping."""
    rules = rules_of(item)
    if isinstance(value, str) and "${" in value:  # replaced once all layers are laid
        return value
    if rules.parser is not None and not (is_null(value) and type(None) in members(hint)):
        try:
            value, typed = rules.parser(value), False
        except VitvisError as error:  # which names the setting without its group
            raise VitvisError(f"{prefix}{error}") from None
    value = coerce(value, hint, prefix + item.name, typed=typed)
    return value if rules.path is None else expand_user(value)


def _replaced(schema: Any, values: Mapping[str, Any], root: Mapping[str, Any], prefix: str = "") -> Iterator[Any]:
    """Yield `(dotted name, value)` of what holds `${oc.env:NAME}`, `${oc.env:NAME,default}` or `${other.setting}`."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _replaced(schema, value, root, f"{prefix}{key}.")
        elif isinstance(value, list) and any("${" in item for item in value if isinstance(item, str)):
            yield prefix + key, [_fill(item, schema, root) if isinstance(item, str) else item for item in value]
        elif isinstance(value, str) and "${" in value:
            yield prefix + key, _fill(value, schema, root)


def _fill(text: str, schema: Any, root: Mapping[str, Any]) -> str:
    """Put values in the places of `${...}`."""

    def look_up(match: re.Match[str]) -> str:
        name, comma, default = match[1].removeprefix("oc.env:").partition(",")
        if match[1].startswith("oc.env:"):
            if name not in os.environ and not comma:
                raise VitvisError(f"{shown(text)}: the environment has no variable {name}")
            return os.environ.get(name, default.strip())
        found: Any = asdict(schema())
        _lay_over(found, root)
        for word in match[1].split("."):
            if not isinstance(found, Mapping) or word not in found:
                raise VitvisError(f"{shown(text)}: no setting is called '{match[1]}'; ${{oc.env:NAME}} is a variable")
            found = found[word]
        return str(found)

    return _REFERENCE.sub(look_up, text)


def _read_group(group: type, hint: Any, value: Any, where: str, typed: bool, source: str) -> dict[str, Any] | None:
    """Read a group: null or false switches an optional one off, true takes its defaults, a word is its `kind`."""
    if isinstance(value, str) and value.strip().startswith("{"):
        value = coerce(value, dict[str, Any], where)
    if isinstance(value, Mapping):
        return _normalise(group, value, typed=typed, prefix=f"{where}.", source=source)
    word = str(value).strip().lower()
    if type(None) in members(hint) and (is_null(value) or word in {"false", "off"}):
        return None
    if word in {"true", "on"}:
        return {}
    if any(item.name == "kind" for item in fields(group)):  # `logger=wandb` is short for `logger.kind=wandb`
        return _normalise(group, {"kind": value}, typed=typed, prefix=f"{where}.", source=source)
    names = ", ".join(f"{where}.{item.name}" for item in fields(group))  # type: ignore[arg-type]
    raise VitvisError(f"{where}={shown(value)}{source}: {where} is a group; set one of {names}")


def _open_mapping(hint: Any, value: Mapping[Any, Any], where: str, typed: bool, source: str) -> dict[str, Any]:
    """Read a mapping whose keys are free (`dict[str, ...]`); dotted keys become nested ones."""
    option = next((item for item in members(hint) if (get_origin(item) or item) is dict), None)
    if option is None:
        if Any in members(hint):
            return dict(value)
        raise VitvisError(f"{where}{source}: is one value and holds no others")
    element = (get_args(option) or (str, Any))[1]
    group = group_of(element)
    result: dict[str, Any] = {}
    for key, item in value.items():
        name, _, deeper = str(key).partition(".")
        item = {deeper: item} if deeper else item
        inner = f"{where}.{name}"
        read: Any
        if group is not None:
            read = _read_group(group, element, item, inner, typed, source)
        elif isinstance(item, Mapping):
            read = _open_mapping(dict[str, Any], item, inner, typed, source)
        else:
            read = coerce(item, element, inner, typed=typed)
        if isinstance(read, dict) and isinstance(result.get(name), dict):
            _lay_over(result[name], read)
        else:
            result[name] = read
    return result


def _lay_over(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    for key, value in above.items():
        if isinstance(value, Mapping) and isinstance(below.get(key), dict):
            _lay_over(below[key], value)
        else:
            below[key] = copy.deepcopy(value)


def _suggest(key: str, schema: Any, prefix: str) -> str:
    """Name the setting nearest to `key`: one with the same last word first."""
    names = [prefix + name for name, _, _ in iterate_settings(schema)]
    last = key.rpartition(".")[2]
    same = [name for name in names if name.rpartition(".")[2] == last]
    return f"; did you mean '{same[0]}'?" if same else nearest(key, names) or _listing(schema, prefix)


def _listing(schema: Any, prefix: str) -> str:
    names = ", ".join(prefix + item.name for item in fields(schema))
    return f" (there are: {names})"
