"""Loading a bundled model, with its file verified each time."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import timm
from torch import nn

from vitvis.bundled import BundledModel, architectures, class_names, find_bundled
from vitvis.errors import VitvisError

__all__ = ["ChecksumError", "load_bundled", "sha256_of", "verify"]

assert architectures  # importing it has registered both names with timm


class ChecksumError(VitvisError, ValueError):
    """A bundled file is not the one that was shipped."""


def sha256_of(file: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def verify(model: BundledModel) -> None:
    """Check that a model's file is the one that was shipped.

    Raises:
        ChecksumError: it is missing or differs.
    """
    if not model.file.is_file():
        raise ChecksumError(f"{model.name}: no weights at {model.file}; install vitvis again")
    found = sha256_of(model.file)
    if found != model.sha256:
        raise ChecksumError(
            f"{model.name}: {model.file} is damaged or not the shipped file (SHA-256 {found[:12]}..., expected "
            f"{model.sha256[:12]}...); install vitvis again, or give your own weights with weights=FILE"
        )


def load_bundled(name: str, *, pretrained: bool = True, **timm_kwargs: Any) -> nn.Module:
    """Build a bundled model with its weights, as float32 and in eval mode.

    Args:
        name: `vitvis_vit` or `vitvis_resnet`.
        pretrained: False leaves the weights random and reads no file.
        timm_kwargs: Go to `timm.create_model`. For the ViT, `img_size` builds it for a larger canvas and
            `dynamic_img_size=True` for any; its position embeddings are resampled.

    Returns:
        A timm model with an attribute `class_names`. It takes images normalised with `BUNDLED[name].mean` and `std`.

    Raises:
        VitvisError: no bundled model of that name.
        ChecksumError: its file is missing or differs from the shipped one.
    """
    info = find_bundled(name)
    if pretrained:
        verify(info)
    model = timm.create_model(name, pretrained=pretrained, **timm_kwargs)
    model.class_names = class_names(name)  # type: ignore[assignment]
    return model.eval()
