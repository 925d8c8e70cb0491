"""The command that makes one image: again, from a fit; for the first time, where only a search knows the unit."""

from __future__ import annotations

import shlex
from typing import Any

from vitvis.atlas.model import Picture, Run
from vitvis.config.addresses import split_addresses
from vitvis.config.core import to_container
from vitvis.config.values import flatten
from vitvis.errors import VitvisError
from vitvis.fit.settings import FitSettings
from vitvis.runs import read_config

__all__ = ["Commands"]

#: Settings of a fit that say where and how a run was made; units and seeds are those of the picture.
_ELSEWHERE = ("out", "chunk", "shard", "finish", "strips", "recipe", "units", "seeds", "logger")
#: Settings of a search that a fit shares.
_MODEL = ("model", "weights", "image_size")


class Commands:
    """Writes commands of pictures; reads the settings of each run once."""

    def __init__(self) -> None:
        defaults = to_container(FitSettings())
        self._names = [name for name in defaults if name not in _ELSEWHERE]
        self._defaults = set(flatten(defaults))
        self._settings: dict[str, list[str] | None] = {}

    def line(self, picture: Picture, address: str) -> str:
        """Return a shell line that makes the image of a unit, quoted for a POSIX shell.

        It names the unit and every setting of the picture's run that is not the default. An image that there is
        already is made again, with its seed, in a folder of its own. "" where the run has left neither settings nor
        a command.
        """
        run, record = picture.run, picture.record
        if run.id not in self._settings:
            self._settings[run.id] = self._read(run)
        own = self._settings[run.id]
        whole = split_addresses([address]) == [address]  # a blank in a file's name would part it
        last = flatten({"units": [address if whole else f'"{address}"']})
        if record:
            last += flatten({"seeds": [record.get("seed") or 0], "out": _folder(run)})
        if own is not None:
            return shlex.join(["python", "-m", "vitvis.fit", *own, *last])
        words = _words(run.manifest.get("command")) if record else []
        return shlex.join([*words, *last]) if words else ""

    def _read(self, run: Run) -> list[str] | None:
        """Return what differs from the defaults as overrides, or None where the settings can't be read."""
        try:
            content = read_config(run.path)
        except VitvisError:
            return None
        kept = {name: content[name] for name in (_MODEL if run.kind == "search" else self._names) if name in content}
        if isinstance(kept.get("trainer"), dict):
            kept["trainer"] = {name: value for name, value in kept["trainer"].items() if name == "precision"}
        return [override for override in flatten(kept) if override not in self._defaults]


def _words(command: Any) -> list[str]:
    """Return the words of a run's command; none for what is no fit: a folder from elsewhere may hold anything."""
    try:
        words = shlex.split(str(command or ""))
    except ValueError:
        return []
    return words if words[:3] == ["python", "-m", "vitvis.fit"] or words[:2] == ["vitvis", "fit"] else []


def _folder(run: Run) -> str:
    """Return a folder for images of this recipe and backbone, since one folder takes no others."""
    backbone = str((run.manifest.get("backbone") or {}).get("name") or "run")
    name = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in backbone)
    return f"out/again-{name}-{str(run.manifest.get('recipe_hash') or '')[:6]}"
