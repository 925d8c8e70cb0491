"""Photos: kinds of data, decoding, boxes and masks, classes, batches.

Importing this package is cheap; torch comes with the first name that needs it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vitvis.data.kinds import KINDS, open_source
    from vitvis.data.loader import Batch, ModelView, Share, make_loader
    from vitvis.data.photo import Entry, Photo, UnusableImage
    from vitvis.data.source import Source

__all__ = [
    "KINDS",
    "Batch",
    "Entry",
    "ModelView",
    "Photo",
    "Share",
    "Source",
    "UnusableImage",
    "make_loader",
    "open_source",
]

_HOMES = {"KINDS": "kinds", "open_source": "kinds", "Entry": "photo", "Photo": "photo", "UnusableImage": "photo",
          "Source": "source"}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"vitvis.data.{_HOMES.get(name, 'loader')}"), name)
