"""Settings of `python -m vitvis.findings`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from vitvis.config import limits, merge, setting
from vitvis.config.sizes import parse_image_size
from vitvis.config.values import shown
from vitvis.errors import VitvisError
from vitvis.evaluate.settings import EvaluateSettings
from vitvis.fit.settings import FitSettings

__all__ = ["STATEMENTS", "FindingsSettings", "FindingsTrainerSettings"]

DEFAULT_CLIP = "open_clip:ViT-B-16-quickgelu"
#: The statements, in the order of the page.
STATEMENTS = ("kinds", "depth", "agreement", "background", "lowpass", "tokens", "clip")


@dataclass
class FindingsTrainerSettings:
    """Where the work is done: one process. For several devices run the parts by hand, see docs/findings.md."""

    accelerator: str = setting("auto", choices=("auto", "cpu", "gpu", "cuda", "mps"))
    """Hardware."""
    threads: int = setting(0, minimum=0, maximum=limits.PROCESSES)
    """CPU threads; 0: torch's own choice."""
    workers: int | None = setting(None, minimum=0, maximum=limits.PROCESSES)
    """Processes that decode photos; chosen for the machine when null."""
    progress: str = setting("auto", choices=("auto", "bar", "lines", "none"))
    """auto: a bar on a terminal, plain lines elsewhere."""


@dataclass
class FindingsSettings:
    """Measure the statements of the work, and lay them out on a page."""

    only: list[str] = setting(list(STATEMENTS), choices=STATEMENTS, length=(1, len(STATEMENTS)), unique=True)
    """Statements to measure; the page also shows those done before."""
    model: str = setting("vitvis_vit")
    """The transformer: a bundled model or any timm model."""
    weights: str = setting("hub", path="weights")
    """Its weights: hub (bundled or downloaded), none (random), or a file."""
    cnn: str = setting("vitvis_resnet")
    """The CNN beside it."""
    cnn_weights: str = setting("hub", path="weights")
    """Its weights."""
    image_size: int | list[int] | None = setting(None, unit="px", parser=parse_image_size)
    """Side of the images for both; each model's own when null."""
    data: str | None = setting(None, path="any")
    """Photos with classes, KIND:PATH, such as parquet:FILE or imagefolder:PATH; statements that need photos are left
    out when null."""
    boxes: str | None = setting(None, path="any")
    """Photos with boxes, KIND:PATH, such as imagenet:PATH; data when null."""
    limit: int | None = setting(None, unit="images", minimum=1, maximum=limits.IMAGES)
    """Use only so many photos."""
    units: int = setting(8, unit="units", minimum=1, maximum=limits.COUNT)
    """Units that get an image, of each kind at each depth."""
    more: int = setting(64, unit="units", minimum=0, maximum=limits.COUNT)
    """Further units of each layer whose photos are looked up."""
    depths: int = setting(6, minimum=1, maximum=1000)
    """Depths at which kinds are compared."""
    k: int = setting(20, unit="images", minimum=2, maximum=10000)
    """Strongest photos of a unit."""
    photos: int = setting(8, minimum=1, maximum=10000)
    """Strongest photos of a unit on which its receptive field is measured."""
    share: float = setting(0.5, maximum=1, above=0)
    """Share of the gradient's energy that a receptive field holds."""
    bootstrap: int = setting(2000, unit="draws", minimum=10, maximum=limits.COUNT)
    """Draws behind the 95 % intervals."""
    seed: int = setting(0, minimum=0, maximum=limits.SEED)
    """Draws units and the bootstrap."""
    fit: dict[str, Any] = setting({})
    """Settings of vitvis.fit for all images, such as fit.steps=400."""
    paper: dict[str, Any] = setting({})
    """Settings of vitvis.fit for images in the paper's recipe: paper.steps=400."""
    evaluate: dict[str, Any] = setting({})
    """Settings of vitvis.evaluate: evaluate.label_file=FILE."""
    clip: str = setting(DEFAULT_CLIP)
    """A model of open_clip, for concepts."""
    clip_weights: str | None = setting(None, path="weights")
    """Its weights: a file or a tag; when null the statement is not run, and its commands are tried on random
    weights."""
    clip_limit: int | None = setting(None, unit="images", minimum=2, maximum=limits.IMAGES)
    """Photos searched for CLIP; as many as data has when null."""
    notes: str | None = setting(None, path="file")
    """YAML with remarks of people who looked at the pictures, by statement; those on the whole go by the name page."""
    publish: str | None = setting(None, path="out")
    """Folder that gets PAGE.md and its images/PAGE-*, such as docs."""
    page: str = setting("findings")
    """Name of the page where it is published."""
    trainer: FindingsTrainerSettings = setting(FindingsTrainerSettings)
    """Where the work is done."""
    out: str = setting("out/findings", path="out")
    """The folder; started again, only what is missing is done."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w-]{1,50}", self.page):
            raise VitvisError(f"page={shown(self.page)}: has to be a name of 1 to 50 letters, digits, _ and -")
        for name, schema in (("fit", FitSettings), ("paper", FitSettings), ("evaluate", EvaluateSettings)):
            try:
                merge(schema, getattr(self, name))
            except VitvisError as error:
                raise VitvisError(f"{name}: {error}") from None
        if not self.clip.startswith("open_clip:"):
            raise VitvisError(f"clip={shown(self.clip)}: has to be a model of open_clip, such as {DEFAULT_CLIP}")
