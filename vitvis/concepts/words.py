"""Vocabularies, and which of their words fit a unit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vitvis.errors import VitvisError

from .score import Floats, centre

__all__ = ["Ranking", "rank_words", "read_vocabulary", "unit_vectors"]

OWN = Path(__file__).with_name("vocabulary.txt")
_CHUNK = 512


def read_vocabulary(file: str | None = None) -> list[str]:
    """Read a vocabulary: a word or phrase a line, `#` begins a comment; vitvis's own when `file` is None.

    Raises:
        VitvisError: no such file, no text, or fewer than two words.
    """
    path = OWN if file is None else Path(file).expanduser()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise VitvisError(f"vocabulary={path}: can't be read; give a UTF-8 text file with a word a line") from error
    words = list(dict.fromkeys(word for line in lines if (word := line.partition("#")[0].strip())))
    if len(words) < 2:
        raise VitvisError(f"vocabulary={path}: holds {len(words)} words; give at least two, one a line")
    return words


@dataclass(frozen=True)
class Ranking:
    """The best words of each unit, best first: rows of the vocabulary and similarities, `[U, n]` each."""

    words: NDArray[np.int64]
    similarity: Floats


def unit_vectors(features: Floats, exemplars: NDArray[np.int64]) -> Floats:
    """Return the mean direction of each unit's photos, `[U, D]` of length 1, from the mean of all photos.

    Args:
        features: of all photos, `[N, D]`.
        exemplars: rows of each unit's photos, `[U, k]`; -1 where a unit has fewer.
    """
    centred = centre(features)
    sums = np.zeros((len(exemplars), features.shape[1]), np.float32)
    for column in exemplars.T:
        sums += np.where((column >= 0)[:, None], centred[column], 0)
    return (sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)).astype(np.float32)


def rank_words(vectors: list[Floats], words: Floats, top: int = 10) -> Ranking:
    """Rank a vocabulary for units.

    The similarity is the cosine of the unit's vector and the word's, each measured from the mean of its own kind
    (photos, optimised images, words): embeddings of words and of pictures lie apart as wholes, and the difference of
    the wholes says nothing about a unit. Where a unit has several vectors, the mean of their cosines counts; a vector
    of zeros does not.

    Args:
        vectors: kinds of vectors of the same units, `[U, D]` each, of length 1 or zeros.
        words: embeddings of the vocabulary, `[W, D]`.
        top: words a unit.
    """
    table = centre(words).T.copy()
    top = min(top, table.shape[1])
    there = [np.any(kind != 0, axis=1) for kind in vectors]
    count = np.maximum(np.sum(there, axis=0), 1).astype(np.float32)
    mean = np.sum(vectors, axis=0, dtype=np.float32) / count[:, None]  # the mean of cosines is the cosine sum's
    best, values = [], []
    for start in range(0, len(mean), _CHUNK):
        similar = mean[start : start + _CHUNK] @ table
        chosen = np.argpartition(-similar, top - 1, axis=1)[:, :top]
        own = np.take_along_axis(similar, chosen, axis=1)
        order = np.lexsort((chosen, -own), axis=1)
        best.append(np.take_along_axis(chosen, order, axis=1))
        values.append(np.take_along_axis(own, order, axis=1))
    return Ranking(np.concatenate(best).astype(np.int64), np.concatenate(values))
