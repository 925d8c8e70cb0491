"""Settings of `python -m vitvis.runs`."""

from __future__ import annotations

from dataclasses import dataclass

from vitvis.config import setting

__all__ = ["VerifySettings"]


@dataclass
class VerifySettings:
    """Which run folders to verify."""

    folders: list[str] = setting(
        [], path="folder", unique=True, required="give run folders: python -m vitvis.runs out/RUN ..."
    )
    """Run folders; may be written without folders=."""
