"""Settings of `python -m vitvis.concepts`."""

from __future__ import annotations

from dataclasses import dataclass

from vitvis.config import limits, setting
from vitvis.errors import VitvisError
from vitvis.launch.settings import LaunchSettings, PlaceSettings, check_shard
from vitvis.launch.shards import parse_shard

__all__ = ["ConceptsSettings"]


@dataclass
class ConceptsSettings:
    """Find words for units, and whether their photos mean the same or look the same."""

    run: list[str] = setting(
        [], required="give the folder of a run: python -m vitvis.concepts run=out/SEARCH", path="folder", unique=True
    )
    """Run folders of search (words and scores) or fit (words alone); several are compared in one table."""
    vocabulary: str | None = setting(None, path="file")
    """Text file with a word or phrase a line; vitvis's own when null, WordNet's nouns with language=wordnet."""
    language: str | None = setting(None)
    """Model that reads pictures and words, open_clip:NAME; the run's own where that is one of open_clip. Or wordnet:
    classes of labelled photos, by what they are kinds of."""
    language_weights: str = setting("hub", path="weights")
    """Its weights: a file, or a pretrained tag of open_clip; those of the run where language is its own model."""
    look: str = setting("vitvis_vit")
    """Backbone that knows pictures alone: a bundled model or any timm model. Or pixels: colours, place by place."""
    look_weights: str = setting("hub", path="weights")
    """Its weights: hub (bundled or downloaded), or a file."""
    fit: str | None = setting(None, path="folder")
    """Run folder of fit whose images of the same units count beside their photos."""
    k: int = setting(20, unit="images", minimum=2, maximum=10000)
    """Strongest photos of a unit that count."""
    words: int = setting(10, minimum=1, maximum=10000)
    """Words kept for each unit."""
    batch_size: int = setting(32, unit="images", minimum=1, maximum=limits.COUNT)
    """Pictures a forward pass."""
    seed: int = setting(0, minimum=0, maximum=limits.SEED)
    """Of the random pairs of photos that agreement is compared with."""
    shard: str | None = setting(None, parser=parse_shard)
    """Embed one share of the pictures and words, `I/N` with I from 0 to N - 1; any number of such processes may work on
    the same runs, and the last to end ranks and scores."""
    finish: bool = setting(False)
    """Rank and score what shards have embedded, and refuse if any part is missing."""
    launch: LaunchSettings = setting(LaunchSettings)
    """Hand the work to a scheduler as shards, and return."""

    def __post_init__(self) -> None:
        check_shard(self.shard, self.finish, PlaceSettings(), self.launch)
        if self.language == "wordnet":
            for name in ("vocabulary", "fit"):
                if getattr(self, name) is not None:
                    why = "has words of its own" if name == "vocabulary" else "knows classes of photos, no pictures"
                    raise VitvisError(f"{name}={getattr(self, name)}: language=wordnet {why}; leave {name} out")
