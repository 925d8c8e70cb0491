"""What a recipe may add to the steps: the groups `match` and `diversity`."""

from __future__ import annotations

from dataclasses import dataclass

from vitvis.config import limits, setting

__all__ = ["DiversitySettings", "MatchSettings"]


@dataclass
class MatchSettings:
    """Add to the activation how alike the image's tokens are to those of the unit's own best photos (VITAL)."""

    search: str | None = setting(
        None, path="folder", required="match.search: give the folder of a vitvis.search that watched these units"
    )
    """Run folder of vitvis.search, of the same model, that watched the units."""
    weight: float = setting(1.0, minimum=0, maximum=limits.WEIGHT)
    """Weight of the distance, which is in units of the photos' variance."""
    photos: int = setting(10, unit="photos", minimum=1, maximum=1000)
    """How many of a unit's strongest photos; they are named in its record."""
    sites: list[str] = setting([])
    """Where tokens are compared, also with *; outputs of four blocks up to the unit's when empty."""


@dataclass
class DiversitySettings:
    """How the variants of a unit are pushed apart, and the gate that eases it (`variants`)."""

    weight: float = setting(1.0, minimum=0, maximum=limits.WEIGHT)
    """Weight of the mean cosine between the Gram matrices of variants, as a share of the activation."""
    keep: float = setting(0.7, minimum=0, maximum=1)
    """Gate: the weakest variant keeps this share of the activation of the first, which nothing pushes; where it does
    not, the weight eases down for this unit."""
    search: str | None = setting(None, path="folder")
    """Run folder of vitvis.search of the same model: the gate is the unit's best photo then, which the weakest variant
    has to beat."""
    ask: float = setting(0.3, minimum=0, maximum=1)
    """Share of the steps after which the gate is asked; before that no picture has formed."""
    over: float = setting(0.3, minimum=0, maximum=1)
    """Share of the steps over which the weight falls to nothing, or comes back."""
