"""The layouts of data that can be measured on; `data=KIND:PATH` opens one."""

from vitvis.data.layouts.registry import KINDS, guess_kind, open_source

__all__ = ["KINDS", "guess_kind", "open_source"]
