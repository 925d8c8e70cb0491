"""Settings of `python -m vitvis.findings`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vitvis.config.core import setting
from vitvis.fit.settings import parse_size

__all__ = ["STATEMENTS", "FindingsSettings", "FindingsTrainerSettings"]

#: The statements, in the order of the page.
STATEMENTS = ("kinds", "depth", "agreement", "background", "lowpass", "tokens", "clip")


@dataclass
class FindingsTrainerSettings:
    """Where the work is done: one process. For several devices run the parts by hand, see docs/findings.md."""

    accelerator: str = setting("auto", "hardware", choices=("auto", "cpu", "gpu", "cuda", "mps"))
    threads: int = setting(0, "CPU threads; 0: torch's own choice", minimum=0)
    workers: int | None = setting(None, "processes that decode photos; chosen for the machine when null", minimum=0)
    progress: str = setting("auto", "auto: a bar on a terminal, plain lines elsewhere",
                            choices=("auto", "bar", "lines", "none"))  # fmt: skip


@dataclass
class FindingsSettings:
    """Measure the statements of the work, and lay them out on a page."""

    only: list[str] = setting(list(STATEMENTS), "statements to measure; the page also shows those done before",
                              choices=STATEMENTS)  # fmt: skip
    model: str = setting("vitvis_vit", "the transformer: a bundled model or any timm model")
    weights: str = setting("hub", "its weights: hub (bundled or downloaded), none (random), or a file")
    cnn: str = setting("vitvis_resnet", "the CNN beside it")
    cnn_weights: str = setting("hub", "its weights")
    image_size: Any = setting(None, "side of the images for both; each model's own when null", unit="px",
                              parser=parse_size)  # fmt: skip
    data: str | None = setting(None, "photos with classes, as vitvis.search reads them: parquet:FILE, folder:PATH; "
                               "statements that need photos are left out when null")  # fmt: skip
    boxes: str | None = setting(None, "photos with boxes, as vitvis.evaluate reads them: imagenet:PATH; data when null")
    limit: int | None = setting(None, "use only so many photos", unit="images", minimum=1)
    units: int = setting(8, "units that get an image, of each kind at each depth", unit="units", minimum=1)
    more: int = setting(64, "further units of each layer whose photos are looked up", unit="units", minimum=0)
    depths: int = setting(6, "depths at which kinds are compared", minimum=1)
    k: int = setting(20, "strongest photos of a unit", unit="images", minimum=2)
    photos: int = setting(8, "strongest photos of a unit on which its receptive field is measured", minimum=1)
    share: float = setting(0.5, "share of the gradient's energy that a receptive field holds", minimum=0, maximum=1)
    bootstrap: int = setting(2000, "draws behind the 95 % intervals", unit="draws", minimum=10)
    seed: int = setting(0, "draws units and the bootstrap", minimum=0)
    fit: dict[str, Any] = setting({}, "settings of vitvis.fit for all images, such as fit.steps=400")
    paper: dict[str, Any] = setting({}, "settings of vitvis.fit for images in the paper's recipe: paper.steps=400")
    evaluate: dict[str, Any] = setting({}, "settings of vitvis.evaluate: evaluate.label_file=FILE")
    clip: str = setting("open_clip:ViT-B-16-quickgelu", "a model of open_clip, for concepts")
    clip_weights: str | None = setting(None, "its weights: a file or a tag; when null the statement is not run, and "
                                       "its commands are tried on random weights")  # fmt: skip
    clip_limit: int | None = setting(None, "photos searched for CLIP; as many as data has when null", unit="images",
                                     minimum=2)  # fmt: skip
    notes: str | None = setting(None, "YAML with remarks of people who looked at the pictures, by statement")
    publish: str | None = setting(None, "folder that gets findings.md and its images/findings-*, such as docs")
    trainer: FindingsTrainerSettings = setting(FindingsTrainerSettings, "where the work is done")
    out: str = setting("out/findings", "the folder; started again, only what is missing is done")
