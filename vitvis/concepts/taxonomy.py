"""WordNet's nouns above the classes of ImageNet: what a photo's class is a kind of."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from vitvis.errors import VitvisError

from .score import Floats

__all__ = ["Taxonomy", "read_taxonomy"]

OWN = Path(__file__).with_name("wordnet.tsv")


class Taxonomy:
    """Nouns and what they are kinds of.

    Args:
        above: Ids of the hypernyms of each noun; none for the root. Every hypernym is a noun, too.
        names: Of each noun, by id.

    Attributes:
        ids: Of the nouns, in the order of columns.
        names: Of the nouns, in the same order.
        digest: Names its content.
    """

    def __init__(self, above: Mapping[str, Sequence[str]], names: Mapping[str, str]) -> None:
        self._above = above
        self.ids = list(above)
        self.names = [names[wnid] for wnid in self.ids]
        self._place = {wnid: column for column, wnid in enumerate(self.ids)}
        lines = (f"{wnid} {' '.join(above[wnid])}" for wnid in self.ids)
        self.digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]

    def ancestors(self, wnid: str) -> set[str]:
        """Return a noun and everything that it is a kind of.

        Raises:
            VitvisError: there is no such noun.
        """
        if wnid not in self._above:
            raise VitvisError(f"WordNet id {wnid}: is none of the {len(self.ids):,} nouns above ImageNet-1k's classes")
        found: set[str] = set()
        waiting = [wnid]
        while waiting:
            noun = waiting.pop()
            if noun not in found:
                found.add(noun)
                waiting += self._above[noun]
        return found

    def vectors(self, ids: Sequence[str]) -> Floats:
        """Return a row for each noun, `[N, nouns]`: 1 for itself and for everything that it is a kind of, else 0.

        The cosine of two rows is the share of ancestors that two nouns have in common, over the geometric mean of how
        many each has: a measure of the family of Wu and Palmer (1994), which also counts along nouns with several
        hypernyms.

        Raises:
            VitvisError: there is no such noun.
        """
        rows = np.zeros((len(ids), len(self.ids)), np.float32)
        for row, wnid in zip(rows, ids, strict=True):
            row[[self._place[noun] for noun in self.ancestors(wnid)]] = 1
        return rows


@cache
def read_taxonomy() -> Taxonomy:
    """Read the taxonomy that vitvis ships (`tests/concepts/make_wordnet.py` makes it)."""
    rows = [line.split("\t") for line in OWN.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    above = {wnid: tuple(filter(None, parents.split(","))) for wnid, parents, _ in rows}
    return Taxonomy(above, {wnid: name for wnid, _, name in rows})
