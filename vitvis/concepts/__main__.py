"""Find words for units, and whether they hold concepts: `python -m vitvis.concepts`."""

from __future__ import annotations

import sys

from vitvis.concepts.settings import ConceptsSettings
from vitvis.config.core import parse
from vitvis.errors import VitvisError, run_main

__all__ = ["main"]

DESCRIPTION = (
    "Rank the words of a vocabulary for each unit of a run, and score whether the unit's strongest photos mean the "
    "same though they look different. Writes concepts/ in the run's folder, where the atlas finds it."
)
EXAMPLES = (
    "python -m vitvis.concepts run=out/search language=open_clip:ViT-B-32 language_weights=FILE",
    "python -m vitvis.concepts run=out/search fit=out/fit vocabulary=words.txt",
    "python -m vitvis.concepts run=[out/search-clip,out/search-supervised] language=open_clip:ViT-B-16 "
    "language_weights=FILE",
)


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return run_main(_main, argv)


def _main(argv: list[str]) -> int:
    settings = parse(ConceptsSettings, argv, prog="python -m vitvis.concepts", description=DESCRIPTION,
                     examples=EXAMPLES)  # fmt: skip
    if not settings.run:
        raise VitvisError("give the folder of a run: python -m vitvis.concepts run=out/SEARCH")
    import logging

    from vitvis.concepts.engine import find_concepts

    logging.basicConfig(format="vitvis: %(message)s", level=logging.WARNING)
    logging.getLogger("vitvis").setLevel(logging.INFO)
    done = find_concepts(settings)
    print(f"{'backbone':<32}{'site':<20}{'units':>6}{'score':>9}{'median':>9}{'above 0':>9}")
    for row in (row for concepts in done for row in concepts.table):
        numbers = "".join(f"{row[key]:>9.3f}" if key in row else f"{'-':>9}" for key in ("mean", "median", "above_0"))
        print(f"{row['backbone']:<32}{row['site']:<20}{row['units']:>6}{numbers}")
    if any(concepts.own_language and any("mean" in row for row in concepts.table) for concepts in done):
        print("a model is scored in its own embedding, which its units are part of; to compare models, give another "
              "language=open_clip:NAME")  # fmt: skip
    for concepts in done:
        print(concepts.path / "concepts" / "concepts.csv")
    return 0


if __name__ == "__main__":
    sys.exit(main())
