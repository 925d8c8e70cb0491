"""The spaces in which photos are compared: what they mean (CLIP or WordNet), and what they look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from vitvis.backbones import Backbone, load_backbone
from vitvis.errors import VitvisError
from vitvis.runs import Ledger, read_manifest

from .embed import Parts, open_picture
from .score import Floats
from .taxonomy import Taxonomy, read_taxonomy

__all__ = [
    "PIXELS",
    "WORDNET",
    "BackboneLook",
    "LabelMeaning",
    "Look",
    "Meaning",
    "Photos",
    "PixelLook",
    "TowerMeaning",
    "load_look",
]

#: Names of the spaces that no model makes.
WORDNET, PIXELS = "wordnet", "pixels"
_SIDE = 16


@dataclass(frozen=True)
class Photos:
    """Photos of a search.

    Attributes:
        run: Its folder.
        files: Thumbnails by dataset index, in order.
        cache: Folder for what is embedded.
        batch: Pictures a forward pass.
    """

    run: Path
    files: Mapping[str, Path]
    cache: Path
    batch: int


class Look(Protocol):
    """What photos look like."""

    name: str
    weights: str
    weights_id: str

    def photos(self, photos: Photos, parts: Parts) -> Floats | None:
        """Return features of photos, `[N, D]`; None where parts of other shards are missing."""


class Meaning(Look, Protocol):
    """What photos mean, in a space that has words."""

    vocabulary: list[str]

    def words(self, caches: Sequence[Path], parts: Parts) -> Floats | None:
        """Return the vocabulary in the space of the photos, `[W, D]`; None where parts of other shards are missing."""

    def images(self, files: Mapping[str, Path], cache: Path, batch: int, parts: Parts) -> Floats | None:
        """Return optimised images in that space, `[N, D]`; None where parts of other shards are missing.

        Raises:
            VitvisError: only photos have a place there.
        """


class TowerMeaning:
    """The embedding of a language-supervised model.

    Args:
        backbone: With a text tower.
        vocabulary: Words or phrases.
    """

    def __init__(self, backbone: Backbone, vocabulary: list[str]) -> None:
        self._backbone, self.vocabulary = backbone, vocabulary
        self.name, self.weights, self.weights_id = backbone.name, backbone.weights, backbone.weights_id

    def photos(self, photos: Photos, parts: Parts) -> Floats | None:
        """Return embeddings of photos."""
        return self.images(photos.files, photos.cache, photos.batch, parts)

    def images(self, files: Mapping[str, Path], cache: Path, batch: int, parts: Parts) -> Floats | None:
        """Return embeddings of pictures."""
        return parts.pictures(self._backbone, files, cache, site="head", batch=batch)

    def words(self, caches: Sequence[Path], parts: Parts) -> Floats | None:
        """Return embeddings of words."""
        assert self._backbone.language is not None
        return parts.words(self._backbone.language, self.vocabulary, caches)


class LabelMeaning:
    """The classes of labelled photos and all that WordNet says they are kinds of; no model is asked.

    Args:
        taxonomy: WordNet's nouns.
    """

    def __init__(self, taxonomy: Taxonomy | None = None) -> None:
        self._taxonomy = taxonomy or read_taxonomy()
        self.vocabulary = self._taxonomy.names
        self.name, self.weights, self.weights_id = WORDNET, "none", self._taxonomy.digest

    def photos(self, photos: Photos, parts: Parts) -> Floats | None:
        """Return the nouns of each photo's class, 0 or 1.

        Raises:
            VitvisError: the search's data can't be read any more, or its photos have no WordNet ids.
        """
        import pyarrow.parquet as pq

        from vitvis.data.kinds import open_source

        table = photos.run / "images.parquet"
        if not Ledger(photos.run).is_whole(table.name):
            raise VitvisError(f"{table}: is missing or damaged; run this search again to mend it")
        rows = pq.ParquetFile(table).read(["index", "label"]).to_pylist()
        label_of = {str(row["index"]): row["label"] for row in rows}
        recipe = read_manifest(photos.run).get("recipe") or {}
        ids = open_source(recipe.get("data"), split=recipe.get("split"), limit=recipe.get("limit")).classes.ids
        labels = [-1 if (label := label_of.get(index)) is None else int(label) for index in photos.files]
        if ids is None or any(not 0 <= label < len(ids) for label in labels):
            raise VitvisError(
                f"language={WORDNET}: reads WordNet ids of photos' classes, and {recipe.get('data')} has photos without"
            )
        return self._taxonomy.vectors([ids[label] for label in labels])

    def images(self, files: Mapping[str, Path], cache: Path, batch: int, parts: Parts) -> Floats | None:
        """Refuse: an optimised image has no class."""
        raise VitvisError(f"language={WORDNET}: knows classes of photos, and optimised images have none")

    def words(self, caches: Sequence[Path], parts: Parts) -> Floats | None:
        """Return a column of its own for each noun."""
        return np.eye(len(self.vocabulary), dtype=np.float32)


class BackboneLook:
    """The mean patch of a block of a backbone.

    Args:
        backbone: Any.
        block: Which one, from shallow to deep; the last one unless told otherwise.

    Attributes:
        site: Its name.

    Raises:
        VitvisError: it has no block.
    """

    def __init__(self, backbone: Backbone, block: int = -1) -> None:
        blocks = [site.name for site in backbone.sites.values() if site.kind == "block"]
        if not blocks:
            raise VitvisError(f"look={backbone.name}: has no block to read features from")
        self._backbone, self.site = backbone, blocks[block]
        self.name, self.weights, self.weights_id = backbone.name, backbone.weights, backbone.weights_id

    def photos(self, photos: Photos, parts: Parts) -> Floats | None:
        """Return features of photos."""
        return parts.pictures(self._backbone, photos.files, photos.cache, site=self.site, batch=photos.batch)


class PixelLook:
    """The colours of a photo, place by place: 16 x 16 px, no model at all."""

    name, weights, weights_id = PIXELS, "none", f"{_SIDE}"

    def photos(self, photos: Photos, parts: Parts) -> Floats | None:
        """Return colours in 0..1, `[N, 768]`."""
        rows = []
        for file in photos.files.values():
            small = open_picture(file).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
            rows.append(np.asarray(small, dtype=np.float32).ravel() / 255)
        return np.stack(rows)


def load_look(name: str, weights: str) -> Look:
    """Return the space of looks that `look=` names.

    Raises:
        VitvisError: no such model, or no weights.
    """
    return PixelLook() if name == PIXELS else BackboneLook(load_backbone(name, weights))
