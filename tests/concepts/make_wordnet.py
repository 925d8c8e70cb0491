"""Make `vitvis/concepts/wordnet.tsv` from WordNet 3.0 (Debian: `apt install wordnet-base`).

python -m tests.concepts.make_wordnet [/usr/share/wordnet/data.noun] > vitvis/concepts/wordnet.tsv
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

__all__ = ["DATA", "read_nouns", "table"]

DATA = Path("/usr/share/wordnet/data.noun")
HEADER = """\
# Nouns of WordNet 3.0 above the classes of ImageNet-1k and Tiny-ImageNet: id, ids of its hypernyms, name.
# This software and database is being provided to you, the LICENSEE, by Princeton University under the following
# license. By obtaining, using and/or copying this software and database, you agree that you have read, understood,
# and will comply with these terms and conditions.:
# Permission to use, copy, modify and distribute this software and database and its documentation for any purpose and
# without fee or royalty is hereby granted, provided that you agree to comply with the following copyright notice and
# statements, including the disclaimer, and that the same appear on ALL copies of the software, database and
# documentation, including modifications that you make for internal use or for distribution.
# WordNet 3.0 Copyright 2006 by Princeton University. All rights reserved.
# THIS SOFTWARE AND DATABASE IS PROVIDED "AS IS" AND PRINCETON UNIVERSITY MAKES NO REPRESENTATIONS OR WARRANTIES,
# EXPRESS OR IMPLIED. BY WAY OF EXAMPLE, BUT NOT LIMITATION, PRINCETON UNIVERSITY MAKES NO REPRESENTATIONS OR
# WARRANTIES OF MERCHANTABILITY OR FITNESS FOR ANY PARTICULAR PURPOSE OR THAT THE USE OF THE LICENSED SOFTWARE,
# DATABASE OR DOCUMENTATION WILL NOT INFRINGE ANY THIRD PARTY PATENTS, COPYRIGHTS, TRADEMARKS OR OTHER RIGHTS.
# The name of Princeton University or Princeton may not be used in advertising or publicity pertaining to distribution
# of the software and/or database. Title to copyright in this software, database and any associated documentation
# shall at all times remain with Princeton University and LICENSEE agrees to preserve same.
"""


def read_nouns(path: Path) -> dict[str, tuple[tuple[str, ...], str]]:
    """Return the hypernyms and the name of each synset, as wndb(5WN) describes the lines."""
    nouns = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("  "):
            continue
        fields = line.partition(" | ")[0].split()
        words = int(fields[3], 16)
        pointers = fields[5 + 2 * words :]
        above = [pointers[4 * n + 1] for n in range(int(fields[4 + 2 * words])) if pointers[4 * n] in ("@", "@i")]
        nouns[f"n{fields[0]}"] = (tuple(f"n{offset}" for offset in above), fields[4].replace("_", " "))
    return nouns


def table(nouns: dict[str, tuple[tuple[str, ...], str]], classes: Iterable[str]) -> str:
    """Return the file: the classes and everything above them, by id."""
    kept: set[str] = set()
    waiting = list(classes)
    while waiting:
        wnid = waiting.pop()
        if wnid in kept or wnid not in nouns:
            continue
        kept.add(wnid)
        waiting += nouns[wnid][0]
    rows = [f"{wnid}\t{','.join(nouns[wnid][0])}\t{nouns[wnid][1]}\n" for wnid in sorted(kept)]
    return HEADER + "".join(rows)


def all_classes() -> list[str]:
    """Return the ids of ImageNet-1k's and Tiny-ImageNet's classes."""
    from vitvis.bundled import class_ids
    from vitvis.data.classes import imagenet_ids

    return [*imagenet_ids(), *class_ids("vitvis_vit")]


if __name__ == "__main__":
    sys.stdout.write(table(read_nouns(Path(sys.argv[1]) if sys.argv[1:] else DATA), all_classes()))
