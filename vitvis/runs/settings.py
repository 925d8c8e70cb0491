"""Settings of `python -m vitvis.runs`."""

from __future__ import annotations

from dataclasses import dataclass

from vitvis.config.core import setting

__all__ = ["VerifySettings"]


@dataclass
class VerifySettings:
    """Which run folders to verify."""

    folders: list[str] = setting([], "run folders; may be written without folders=")
