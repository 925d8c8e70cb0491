"""Typed settings of every command: parsing, merging, help."""

from vitvis.config.core import merge, parse, setting, to_container, to_yaml

__all__ = ["merge", "parse", "setting", "to_container", "to_yaml"]
