"""Who judges the pictures as they are made: the group `judge`."""

from __future__ import annotations

from dataclasses import dataclass

from vitvis.config import setting
from vitvis.config.sizes import parse_image_size

__all__ = ["JudgingSettings"]


@dataclass
class JudgingSettings:
    """Who judges the pictures as they are made (`vitvis.judge`); decides no picture."""

    model: str | None = setting(None)
    """Another model that judges each picture, so that records carry its verdict and sweeps can maximise judge; null:
    nobody."""
    weights: str = setting("hub", path="weights")
    """Of the judge: hub (bundled or downloaded) or a file."""
    image_size: int | list[int] | None = setting(None, unit="px", parser=parse_image_size)
    """Height and width at which the judge looks; its own when null."""
    search: str | None = setting(None, path="folder")
    """Run folder of vitvis.search of the model: photos for the choice test; without it, class units alone are
    judged."""
