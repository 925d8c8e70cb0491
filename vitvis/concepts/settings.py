"""Settings of `python -m vitvis.concepts`."""

from __future__ import annotations

from dataclasses import dataclass

from vitvis.config.core import setting

__all__ = ["ConceptsSettings"]


@dataclass
class ConceptsSettings:
    """Find words for units, and whether their photos mean the same or look the same."""

    run: list[str] = setting([], "run folders of search (words and scores) or fit (words alone); several are compared "
                             "in one table",
                             required="give the folder of a run: python -m vitvis.concepts run=out/SEARCH")  # fmt: skip
    vocabulary: str | None = setting(None, "text file with a word or phrase a line; vitvis's own when null")
    language: str | None = setting(None, "model that reads pictures and words, open_clip:NAME; the run's own where "
                                   "that is one of open_clip")  # fmt: skip
    language_weights: str = setting("hub", "its weights: a file, or a pretrained tag of open_clip; those of the run "
                                    "where language is its own model")  # fmt: skip
    look: str = setting("vitvis_vit", "backbone that knows pictures alone: a bundled model or any timm model")
    look_weights: str = setting("hub", "its weights: hub (bundled or downloaded), or a file")
    fit: str | None = setting(None, "run folder of fit whose images of the same units count beside their photos")
    k: int = setting(20, "strongest photos of a unit that count", unit="images", minimum=2)
    words: int = setting(10, "words kept for each unit", minimum=1)
    batch_size: int = setting(32, "pictures a forward pass", unit="images", minimum=1)
    seed: int = setting(0, "of the random pairs of photos that agreement is compared with", minimum=0)
