"""Read what lies in a folder that may be damaged, or may come from a stranger: plain data, with limits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vitvis.errors import VitvisError, sentence

__all__ = ["inside", "plain_name", "read_config", "read_json", "read_yaml"]

#: Bytes of a JSON or YAML file that are read; the summary of a sweep of 10,000 trials has 20 MB.
SIZE_LIMIT = 200_000_000
#: Lists and mappings may lie so deep in one another.
DEPTH_LIMIT = 32


def read_json(path: str | Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        VitvisError: it can't be read, is too large, or nests too deep.
    """
    try:
        value = json.loads(_read(Path(path)), parse_constant=float)
    except (ValueError, RecursionError) as error:
        raise VitvisError(f"{path}: can't be read as JSON ({sentence(error)})") from None
    _check_depth(value, path)
    return value


def read_yaml(path: str | Path) -> Any:
    """Return the content of a YAML file of plain data; references within it (`*name`) can blow up and are refused.

    Raises:
        VitvisError: it can't be read, is too large, nests too deep, or holds references.
    """
    import yaml

    class Plain(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("it holds references")
            return super().compose_node(parent, index)

    try:
        value = yaml.load(_read(Path(path)), Plain)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise VitvisError(f"{path}: can't be read as YAML ({sentence(error)})") from None
    _check_depth(value, path)
    return value


def read_config(folder: str | Path) -> dict[str, Any]:
    """Return the settings that a run has left in `config.yaml`, as plain data.

    Raises:
        VitvisError: there are none, they are not what was written, or they hold `${...}`: a folder from elsewhere may
            not make this machine look up its own variables.
    """
    from vitvis.runs.ledger import Ledger

    path = Path(folder) / "config.yaml"
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise VitvisError(f"{path}: holds no settings")
    if not Ledger(folder).is_whole(path.name):
        raise VitvisError(f"{path}: is damaged; run the command of this folder again, which writes it anew")
    if _holds_interpolation(content):
        raise VitvisError(f"{path}: holds '${{...}}', which settings of a run never do")
    return content


def inside(folder: str | Path, relative: Any) -> Path | None:
    """Return a file of a folder, also one that is not there; None for a path that leads out of the folder."""
    if not isinstance(relative, str | Path) or not str(relative) or "\0" in str(relative):
        return None
    path = Path(folder) / relative
    try:
        return path if path.resolve().is_relative_to(Path(folder).resolve()) else None
    except (OSError, RuntimeError):  # a name too long, a circle of links
        return None


def plain_name(text: Any) -> bool:
    """Say whether a text can be the name of a site or unit in a path: no way up, no way to the root."""
    return (
        isinstance(text, str)
        and 0 < len(text) <= 1000
        and "\0" not in text
        and not text.startswith("/")
        and ".." not in text.replace("\\", "/").split("/")
    )


def _read(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size > SIZE_LIMIT:
            raise VitvisError(f"{path}: has {size:,} bytes, more than the {SIZE_LIMIT:,} that are read")
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise VitvisError(f"{path}: no such file") from None
    except OSError as error:
        raise VitvisError(f"{path}: can't be read ({error.strerror})") from None


def _check_depth(value: Any, path: str | Path) -> None:
    level = [value]
    for _ in range(DEPTH_LIMIT):
        level = [child for item in level for child in _children(item)]
        if not level:
            return
    raise VitvisError(f"{path}: nests deeper than {DEPTH_LIMIT} levels")


def _children(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    return list(value) if isinstance(value, list | tuple) else []


def _holds_interpolation(value: Any) -> bool:
    if isinstance(value, str):
        return "${" in value
    return any(_holds_interpolation(child) for child in _children(value))
