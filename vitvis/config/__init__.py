"""Typed settings of every command: reading, merging, help; and the command itself."""

from vitvis.config.command import Command, Option
from vitvis.config.core import Layer, merge, to_container, to_yaml
from vitvis.config.fields import ready, require, setting

__all__ = ["Command", "Layer", "Option", "merge", "ready", "require", "setting", "to_container", "to_yaml"]
