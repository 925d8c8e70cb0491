"""Settings: a typed schema (dataclasses), layers of YAML and overrides on top of it, the last one wins.

Only `dataclasses` and OmegaConf are imported here, so that `--help` takes a moment and not the time torch takes.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import Field, asdict, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, get_args, get_origin, get_type_hints

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vitvis.config.values import coerce, group_of, is_null, members
from vitvis.errors import VitvisError, nearest

__all__ = [
    "Layer",
    "iterate_settings",
    "merge",
    "recipe_names",
    "recipe_path",
    "require",
    "setting",
    "to_container",
    "to_yaml",
]

S = TypeVar("S")
#: What settings are read from: a mapping, a list of `a.b=c`, a YAML file, an instance of the schema, or nothing.
Layer: TypeAlias = Mapping[str, Any] | Sequence[str] | str | Path | object | None


def setting(
    default: Any,
    help: str,
    *,
    unit: str = "",
    choices: Sequence[str] | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
    parser: Callable[[Any], Any] | None = None,
    required: str = "",
) -> Any:
    """Declare one field of a settings dataclass.

    Args:
        default: Default value, or a settings dataclass (type or instance) for a group; mutable ones are copied.
        help: One line for `--help`.
        unit: Unit of the value, such as `px` or `steps`.
        choices: The words that are allowed, if only some are.
        minimum: Smallest number allowed.
        maximum: Largest number allowed.
        parser: Reads what the user wrote (a text, or what YAML made of it) before the declared type does.
        required: What to say where a run is asked for and the value is null or empty.
    """
    metadata = dict(help=help, unit=unit, choices=choices, minimum=minimum, maximum=maximum, parser=parser,
                    required=required)  # fmt: skip
    if isinstance(default, type) and is_dataclass(default):
        return field(default_factory=default, metadata=metadata)
    if isinstance(default, list | dict | set) or is_dataclass(default):
        return field(default_factory=lambda: copy.deepcopy(default), metadata=metadata)
    return field(default=default, metadata=metadata)


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
    try:
        merged = OmegaConf.merge(OmegaConf.structured(schema), *texts)
        settings = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        where = getattr(error, "full_key", None) or "settings"
        raise VitvisError(f"{where}: {str(error).splitlines()[0]}") from None
    _check(settings)
    return settings  # type: ignore[return-value]


def require(settings: S) -> S:
    """Return settings in which nothing is missing that a run needs.

    Raises:
        VitvisError: a setting declared with `required` is null or empty.
    """
    for item in fields(settings):  # type: ignore[arg-type]
        value = getattr(settings, item.name)
        if item.metadata.get("required") and value in (None, "", []):
            raise VitvisError(item.metadata["required"])
        if is_dataclass(value):
            require(value)
    return settings


def to_container(settings: Any) -> dict[str, Any]:
    """Return settings as plain dicts, lists and scalars."""
    return asdict(settings)


def to_yaml(settings: Any) -> str:
    """Return settings as YAML that `--config` loads again."""
    container = settings if isinstance(settings, Mapping) else to_container(settings)
    return OmegaConf.to_yaml(OmegaConf.create(dict(container)))


def iterate_settings(schema: Any, prefix: str = "") -> Iterator[tuple[str, Field, Any]]:
    """Yield `(dotted name, field, declared type)` of every setting of a schema, groups before what they hold."""
    hints = get_type_hints(schema)
    for item in fields(schema):
        name = prefix + item.name
        yield name, item, hints[item.name]
        group = group_of(hints[item.name])
        if group is not None:
            yield from iterate_settings(group, f"{name}.")


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
    if layer is not None and not isinstance(layer, Sequence) and OmegaConf.is_config(layer):
        return _normalise(schema, dict(OmegaConf.to_container(layer)), typed=False)  # type: ignore[arg-type]
    result: dict[str, Any] = {}
    for text in layer or ():
        key, equals, value = text.partition("=")
        if not equals:
            raise VitvisError(f"can't read the override '{text}': settings are written key=value")
        _lay_over(result, _normalise(schema, {key.strip(): value}, typed=True))
    return result


def _load_yaml(path: Path) -> Mapping[str, Any]:
    import yaml

    if not path.is_file():
        siblings = [str(item) for item in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        raise VitvisError(f"--config {path}: no such file{nearest(str(path), siblings)}")
    try:
        content = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except (yaml.YAMLError, UnicodeDecodeError, OmegaConfBaseException, OSError) as error:
        raise VitvisError(f"--config {path}: can't be read as YAML: {error}") from None
    if not isinstance(content, Mapping):
        raise VitvisError(f"--config {path}: holds no settings, but a list")
    return content  # type: ignore[return-value]


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
            parser = by_name[name].metadata.get("parser")
            read = coerce(parser(value) if parser else value, hint, where, typed=typed and parser is None)
        if isinstance(read, dict) and isinstance(result.get(name), dict):
            _lay_over(result[name], read)
        else:
            result[name] = read
    return result


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
    raise VitvisError(f"{where}={value}{source}: {where} is a group; set one of {names}")


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


def _check(settings: Any, prefix: str = "") -> None:
    """Check choices and bounds, which types alone do not say."""
    for item in fields(settings):
        value, where, rules = getattr(settings, item.name), prefix + item.name, item.metadata
        if is_dataclass(value):
            _check(value, f"{where}.")
            continue
        choices = rules.get("choices")
        for single in value if isinstance(value, list) else [value]:
            if choices and single is not None and single not in choices:
                raise VitvisError(f"{where}={single}{nearest(single, choices)} (choices: {', '.join(choices)})")
            if isinstance(single, int | float) and not isinstance(single, bool):
                _check_bounds(single, rules.get("minimum"), rules.get("maximum"), where)


def _check_bounds(value: float, minimum: float | None, maximum: float | None, where: str) -> None:
    if minimum is not None and not value >= minimum:
        raise VitvisError(f"{where}={value}: has to be at least {minimum}")
    if maximum is not None and not value <= maximum:
        raise VitvisError(f"{where}={value}: has to be at most {maximum}")
