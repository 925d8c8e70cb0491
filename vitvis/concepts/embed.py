"""Embed pictures and words once; what was embedded before is read from a cache."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from vitvis.backbones import Backbone, Language, Tap, select_tokens
from vitvis.errors import VitvisError
from vitvis.runs import atomic_write

from .score import Floats

__all__ = ["TEMPLATES", "embed_pictures", "embed_words"]

#: A word's embedding is the mean of those of these texts.
TEMPLATES = ("{}", "a photo of {}", "a picture of something that is {}")


def _remember(cache: Path, features: Floats) -> Floats:
    buffer = io.BytesIO()
    np.save(buffer, features)
    cache.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(cache, buffer.getvalue())
    return features


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def embed_words(language: Language, words: Sequence[str], caches: Sequence[Path]) -> Floats:
    """Return embeddings of words, `[W, D]` of length 1.

    They are kept by words and weights in the first folder of `caches`, and read from any of them.
    """
    name = f"words-{_digest(language.weights_id, *TEMPLATES, *words)}.npy"
    for cache in caches:
        if (cache / name).is_file():
            return np.load(cache / name)
    logging.getLogger("vitvis").info("embedding %d words, once for this vocabulary", len(words))
    total = sum(language.encode_text([template.format(word) for word in words]).numpy() for template in TEMPLATES)
    return _remember(caches[0] / name, (total / np.linalg.norm(total, axis=1, keepdims=True)).astype(np.float32))


@torch.no_grad()
def embed_pictures(
    backbone: Backbone, files: Mapping[str, Path], cache: Path, *, look: bool, batch: int = 32
) -> Floats:
    """Return features of pictures, `[N, D]`; kept in the folder `cache` by files and weights.

    Args:
        backbone: the embedding `head` of a language model's image tower, or any backbone.
        files: by a name that says what the picture is, in order.
        cache: a folder.
        look: take the mean of the patches of the last block instead of the embedding: what a picture looks like
            rather than what class it is.
        batch: pictures a forward pass.

    Raises:
        VitvisError: a picture can't be read.
    """
    stamps = [f"{name} {path.stat().st_size} {path.stat().st_mtime_ns}" for name, path in files.items()]
    key = _digest(backbone.weights_id, str(backbone.image_size), str(look), *stamps)
    file = cache / f"pictures-{key}.npy"
    if file.is_file():
        return np.load(file)
    blocks = [site for site in backbone.sites.values() if site.kind == "block"]
    if not look and "head" not in backbone.sites or look and not blocks:
        raise VitvisError(f"{backbone.name} has no {'block' if look else 'embedding'} to read features from")
    site = blocks[-1] if look else backbone.site("head")
    logging.getLogger("vitvis").info("embedding %d pictures with %s", len(files), backbone.name)
    transform, paths, parts = backbone.transform(), list(files.values()), []
    device = backbone.mean.device
    with Tap(backbone, [site]) as tap:
        for start in range(0, len(paths), batch):
            images = torch.stack([transform(_open(path)) for path in paths[start : start + batch]]).to(device)
            tokens = select_tokens(tap(images)[site.name], site, "patches")
            parts.append(torch.nn.functional.normalize(tokens.mean(dim=1), dim=-1).cpu())
    return _remember(file, torch.cat(parts).numpy())


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(path) as picture:
            return picture.convert("RGB")
    except OSError as error:
        raise VitvisError(f"{path}: can't be read as a picture") from error
