"""Settings of `python -m vitvis.atlas`."""

from __future__ import annotations

from dataclasses import dataclass

from vitvis.config.core import setting

__all__ = ["AtlasSettings"]


@dataclass
class AtlasSettings:
    """Write a static site from run folders."""

    runs: list[str] = setting([], "run folders of fit, search, evaluate or sweep; also as plain arguments",
                              required="give run folders: python -m vitvis.atlas out/RUN ...")  # fmt: skip
    out: str = setting("out/atlas", "folder of the site; an atlas that is there is replaced")
    title: str = setting("vitvis atlas", "title of the page")
    max_mb: float = setting(1000.0, "photos and full-size pictures fill the folder up to this, first as they are, else "
                            "as WebP; sprites and data always go in", unit="MB", minimum=1)  # fmt: skip
    tile: int = setting(96, "side of a sprite", unit="px", minimum=16, maximum=256)
    exemplars: int = setting(9, "strongest photos of a unit; half as many of the weakest", minimum=0, maximum=100)
    paths: bool = setting(False, "show names of dataset files and absolute paths, instead of leaving them out")
