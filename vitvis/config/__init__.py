"""Typed settings of every command: reading, merging, help; and the command itself."""

from vitvis.config.command import Command, Option
from vitvis.config.core import Layer, merge, require, setting, to_container, to_yaml

__all__ = ["Command", "Layer", "Option", "merge", "require", "setting", "to_container", "to_yaml"]
