"""The command that makes one image: again, from a fit; for the first time, where only a search knows the unit."""

from __future__ import annotations

import shlex
from typing import Any

import yaml

from vitvis.atlas.model import Picture, Run
from vitvis.config.core import to_container
from vitvis.config.values import flatten
from vitvis.fit.settings import FitSettings

__all__ = ["Commands"]

#: Settings of a fit that say where and how a run was made; units and seeds are those of the picture.
_ELSEWHERE = ("out", "chunk", "strips", "recipe", "units", "seeds", "logger")
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
        last = flatten({"units": [address]})
        if record:
            last += flatten({"seeds": [record.get("seed") or 0], "out": _folder(run)})
        if own is not None:
            return shlex.join(["python", "-m", "vitvis.fit", *own, *last])
        command = str(run.manifest.get("command") or "") if record else ""
        return f"{command} {shlex.join(last)}" if command else ""

    def _read(self, run: Run) -> list[str] | None:
        """Return what differs from the defaults as overrides, or None where the settings can't be read."""
        try:
            content: Any = yaml.safe_load((run.path / "config.yaml").read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError):
            return None
        if not isinstance(content, dict):
            return None
        kept = {name: content[name] for name in (_MODEL if run.kind == "search" else self._names) if name in content}
        if isinstance(kept.get("trainer"), dict):
            kept["trainer"] = {name: value for name, value in kept["trainer"].items() if name == "precision"}
        return [override for override in flatten(kept) if override not in self._defaults]


def _folder(run: Run) -> str:
    """Return a folder for images of this recipe and backbone, since one folder takes no others."""
    backbone = str((run.manifest.get("backbone") or {}).get("name") or "run")
    name = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in backbone)
    return f"out/again-{name}-{str(run.manifest.get('recipe_hash') or '')[:6]}"
