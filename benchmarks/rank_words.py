"""How long words and scores take once everything is embedded: 10,000 words, 3,072 units, 20 photos each.

Run it as `python benchmarks/rank_words.py`.
"""

from __future__ import annotations

import time

import numpy as np

from vitvis.concepts.score import concept_score
from vitvis.concepts.words import rank_words, unit_vectors

UNITS, WORDS, PHOTOS, WIDTH, K = 3072, 10_000, 20_000, 512, 20


def main() -> None:
    """Print seconds, by the clock and of the processor (the latter holds on a busy machine too)."""
    draw = np.random.default_rng(0)
    photos, words = (draw.normal(size=(count, WIDTH)).astype(np.float32) for count in (PHOTOS, WORDS))
    look = draw.normal(size=(PHOTOS, 192)).astype(np.float32)
    units = draw.integers(0, PHOTOS, (UNITS, K))
    start, busy = time.perf_counter(), time.process_time()
    vectors = unit_vectors(photos, units)
    rank_words([vectors, vectors], words)
    ranked = time.perf_counter()
    concept_score(photos, look, units)
    print(f"words {ranked - start:.1f} s, scores {time.perf_counter() - ranked:.1f} s")
    print(f"CPU time of both {time.process_time() - busy:.1f} s")


if __name__ == "__main__":
    main()
