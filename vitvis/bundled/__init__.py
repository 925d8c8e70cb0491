"""The two models that vitvis trains and ships: what is known about them without loading them.

Importing this package is cheap: torch and timm come with `vitvis.bundled.models`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from vitvis.errors import VitvisError, nearest

__all__ = ["BUNDLED", "BundledModel", "class_ids", "class_names", "find_bundled", "weights_origin"]

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class BundledModel:
    """What is known about one bundled model."""

    name: str  #: name in timm, once `vitvis.bundled.models` is imported
    file: Path  #: fp16 weights, safetensors
    sha256: str  #: checksum of `file`, in hexadecimal
    mean: tuple[float, float, float]  #: subtracted from images in [0, 1]
    std: tuple[float, float, float]  #: what they are divided by then
    image_size: int = 64  #: side of the photos, px
    classes: Path = _HERE / "classes.tsv"  #: label, WordNet id and words of each class, tab-separated
    card: Path = _HERE / "README.md"  #: model card


def _model(name: str, sha256: str) -> BundledModel:
    # ImageNet's customary constants: Tiny-ImageNet is a part of it.
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    return BundledModel(name, _HERE / "weights" / f"{name}.safetensors", sha256, mean, std)


#: The bundled models by name.
BUNDLED: Mapping[str, BundledModel] = MappingProxyType(
    {
        model.name: model
        for model in (
            _model("vitvis_vit", "d6b72e36655e5aa6579cec302aead8ffbec887871486fa089ac1fb31b8d75303"),
            _model("vitvis_resnet", "f30e93bb76a569a463e88ece7a0022fcc238d6384d94035046234fc20ea28155"),
        )
    }
)


def weights_origin(name: str, weights: str) -> str:
    """Return where the weights of a model come from, in a word: `bundled`, `hub`, `random`, or a file's name.

    >>> weights_origin("vitvis_vit", "hub"), weights_origin("resnet18", "hub"), weights_origin("resnet18", "a/w.pth")
    ('bundled', 'hub', 'w.pth')
    """
    if weights == "none":
        return "random"
    return "bundled" if weights == "hub" and name in BUNDLED else Path(weights).name


def find_bundled(name: str) -> BundledModel:
    """Return what is known about a bundled model.

    Raises:
        VitvisError: there is none of that name.
    """
    if name not in BUNDLED:
        raise VitvisError(f"no bundled model '{name}'{nearest(name, BUNDLED) or ';'} bundled: {', '.join(BUNDLED)}")
    return BUNDLED[name]


def class_names(name: str) -> list[str]:
    """Return the names of a bundled model's classes, such as `goldfish`, in the order of its logits.

    Each is the first of the WordNet synonyms in the model's `classes` file; no two are equal.

    Raises:
        VitvisError: there is no bundled model of that name.
    """
    return [words.split(",")[0] for _, _, words in _classes(name)]


def class_ids(name: str) -> list[str]:
    """Return the WordNet ids of a bundled model's classes, such as `n01443537`, in the order of its logits.

    Raises:
        VitvisError: there is no bundled model of that name.
    """
    return [wnid for _, wnid, _ in _classes(name)]


def _classes(name: str) -> list[list[str]]:
    """Return label, WordNet id and words of every class."""
    return [row.split("\t") for row in find_bundled(name).classes.read_text(encoding="utf-8").splitlines()]
