"""The command `concepts`, from a shell and from Python."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vitvis.concepts.settings import ConceptsSettings
from vitvis.config import Command, Layer, merge, ready
from vitvis.launch.cluster import check_here, launched

if TYPE_CHECKING:
    from vitvis.concepts.engine import Concepts

__all__ = ["COMMAND", "main", "run"]


def run(cfg: Layer = None, /, **settings: Any) -> list[Concepts]:
    """Find words for units of runs, and whether their photos mean the same though they look different.

    Args:
        cfg: Settings, a mapping of them, a list of `a.b=c`, or a YAML file.
        settings: Single settings laid over `cfg`: `vitvis.concepts.run(run="out/search", words=5)`.

    Returns:
        Words and scores, one a run; none of `shard=` where others are missing.

    Raises:
        VitvisError: settings that can't be followed.
    """
    asked = ready(merge(ConceptsSettings, cfg, settings))
    check_here(asked.launch)
    from vitvis.concepts.engine import find_concepts

    return find_concepts(asked)


def _act(settings: ConceptsSettings, options: Mapping[str, str]) -> None:
    logging.getLogger("vitvis").setLevel(logging.INFO)
    done = run(settings)
    if not done:
        print(f"shard {settings.shard} is done; others are not")
        return
    print(f"{'backbone':<32}{'site':<20}{'units':>6}{'score':>9}{'median':>9}{'above 0':>9}")
    for row in (row for concepts in done for row in concepts.table):
        numbers = "".join(f"{row[key]:>9.3f}" if key in row else f"{'-':>9}" for key in ("mean", "median", "above_0"))
        print(f"{row['backbone']:<32}{row['site']:<20}{row['units']:>6}{numbers}")
    if any(concepts.own_language and any("mean" in row for row in concepts.table) for concepts in done):
        print(
            "a model is scored in its own embedding, which its units are part of; to compare models, give another "
            "language=open_clip:NAME"
        )
    for concepts in done:
        print(concepts.path / "concepts" / "concepts.csv")


COMMAND = Command(
    name="vitvis.concepts",
    settings=ConceptsSettings,
    action=launched("vitvis.concepts", _act),
    summary="find words for units, and whether they hold concepts",
    description="Rank the words of a vocabulary for each unit of a run, and score whether the unit's strongest photos "
    "mean the same though they look different. Writes concepts/ in the run's folder, where the atlas finds it.",
    examples=(
        "python -m vitvis.concepts run=out/search language=open_clip:ViT-B-32 language_weights=FILE",
        "python -m vitvis.concepts run=out/search fit=out/fit vocabulary=words.txt",
        "python -m vitvis.concepts run=[out/search-clip,out/search-supervised] language=open_clip:ViT-B-16 "
        "language_weights=FILE",
    ),
)
main = COMMAND.main
