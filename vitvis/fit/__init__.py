"""Images for units: parameterisations, augmentations, regularisers, objectives, and the training that joins them.

Importing this package is cheap; torch and Lightning come with the first name that is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from vitvis.fit.run import run

if TYPE_CHECKING:
    from .augmentations import AUGMENTATIONS, Augmentation, augmentation
    from .chunks import Chunk, plan_chunks
    from .datamodule import UnitDataModule
    from .images import PARAMETERIZATIONS, Parameterization, make_image
    from .measure import hf_share, measure_firing
    from .memory import choose_chunk
    from .module import ActivationMaximization
    from .recipe import recipe_of
    from .regularizers import REGULARIZERS, regularizer

__all__ = [
    "AUGMENTATIONS",
    "PARAMETERIZATIONS",
    "REGULARIZERS",
    "ActivationMaximization",
    "Augmentation",
    "Chunk",
    "Parameterization",
    "UnitDataModule",
    "augmentation",
    "choose_chunk",
    "hf_share",
    "make_image",
    "measure_firing",
    "plan_chunks",
    "recipe_of",
    "regularizer",
    "run",
]

_HOMES = {
    "main": "__main__",
    "AUGMENTATIONS": "augmentations",
    "PARAMETERIZATIONS": "images",
    "REGULARIZERS": "regularizers",
    "ActivationMaximization": "module",
    "Augmentation": "augmentations",
    "Chunk": "chunks",
    "Parameterization": "images",
    "UnitDataModule": "datamodule",
    "augmentation": "augmentations",
    "choose_chunk": "memory",
    "hf_share": "measure",
    "make_image": "images",
    "measure_firing": "measure",
    "plan_chunks": "chunks",
    "recipe_of": "recipe",
    "regularizer": "regularizers",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
