"""Settings of `python -m vitvis.atlas`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vitvis.atlas.publish import parse_place
from vitvis.config import limits, setting
from vitvis.errors import VitvisError

__all__ = ["AtlasSettings"]


@dataclass
class AtlasSettings:
    """Write a static site from run folders."""

    runs: list[str] = setting(
        [], required="give run folders: python -m vitvis.atlas out/RUN ...", path="folder", unique=True
    )
    """Run folders of fit, search, evaluate or sweep; also as plain arguments."""
    out: str = setting("out/atlas", path="out")
    """Folder of the site; an atlas that is there is replaced."""
    title: str = setting("vitvis atlas")
    """Title of the page."""
    max_mb: float = setting(1000.0, unit="MB", minimum=1, maximum=limits.WEIGHT)
    """Photos and full-size pictures fill the folder up to this, first as they are, else as WebP; sprites and data
    always go in."""
    tile: int = setting(96, unit="px", minimum=16, maximum=256)
    """Side of a sprite."""
    exemplars: int = setting(9, minimum=0, maximum=100)
    """Strongest photos of a unit; half as many of the weakest."""
    paths: bool = setting(False)
    """Show names of dataset files and absolute paths, instead of leaving them out."""
    photos: bool | None = setting(None)
    """Let photos into the atlas; when null, yes unless it is published."""
    photo_license: str | None = setting(None)
    """Licence of the photos, for the card of an atlas that is published with them."""
    publish: str | None = setting(None, path="any")
    """Where the atlas is published: a folder (GitHub Pages), hf:USER/NAME (a static Space), hf:datasets/USER/NAME."""
    port: int = setting(8517, minimum=0, maximum=65535)
    """Port of --serve on this machine; 0: any."""
    map: bool = setting(True)
    """Lay the units of each backbone out on a map, near to each other where they look for the same."""
    eye: str = setting("vitvis_resnet")
    """Model in whose features units are near or far: a bundled one, or any of timm."""
    seed: int = setting(0, minimum=0, maximum=limits.SEED)
    """Of the maps."""

    def __post_init__(self) -> None:
        if self.publish is None:
            return
        place = parse_place(self.publish)
        if place.folder is not None and place.folder.resolve() == Path(self.out).resolve():
            raise VitvisError(f"publish={self.publish}: is out={self.out}, where the atlas is written; give another")
        if self.photos and not (self.photo_license or "").strip():
            raise VitvisError(
                "photos=true: publishes photos of the data; say under which licence they are, with photo_license=TEXT"
            )
