"""Names of models and sites as parts of paths."""

from __future__ import annotations

import re
from pathlib import PurePath

from vitvis.runs.hashing import digest

__all__ = ["model_folder", "site_folder"]


def model_folder(name: str) -> str:
    """Return a model's name as one part of a path.

    >>> model_folder("hf:facebook/dinov2-small")
    'hf_facebook_dinov2-small'
    """
    return name.replace("/", "_").replace(":", "_")


def site_folder(name: str) -> str:
    """Return a site's name as one part of a path: itself, or, of latents `SITE@FILE`, `SITE@STEM-DIGEST`.

    >>> site_folder("blocks.8.block")
    'blocks.8.block'
    """
    base, at, file = name.partition("@")
    if not at:
        return base.replace("/", "_")
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", PurePath(file).stem)[:40]
    return f"{base.replace('/', '_')}@{stem}-{digest(file, 6)}"
