"""Settings of `python -m vitvis.search`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vitvis.config.core import setting
from vitvis.config.values import split_units
from vitvis.fit.settings import parse_size

__all__ = ["SearchSettings", "SearchTrainerSettings"]


@dataclass
class SearchTrainerSettings:
    """Where the work is done: Lightning's own launchers, several devices and nodes, precision."""

    accelerator: str = setting("auto", "hardware", choices=("auto", "cpu", "gpu", "cuda", "mps"))
    devices: Any = setting("auto", "processes on this machine, one a device: a number, a list of indices, or auto")
    num_nodes: int = setting(1, "machines", minimum=1)
    precision: str = setting("32-true", "bf16-mixed is faster on a GPU, and its rankings differ where images are close",
                             choices=("32-true", "bf16-mixed"))  # fmt: skip
    threads: int = setting(0, "CPU threads a process may use; 0: torch's own choice", minimum=0)
    progress: str = setting("auto", "auto: one line that moves on a terminal, lines elsewhere",
                            choices=("auto", "bar", "lines", "none"))  # fmt: skip


@dataclass
class SearchSettings:
    """Find the images that excite units most."""

    model: str = setting("vitvis_vit", "a bundled model or any timm model")
    weights: str = setting("hub", "hub (bundled or downloaded), none (random), or a .safetensors / .pth file")
    image_size: Any = setting(None, "side of the image, or ROWSxCOLUMNS; the model's own when null", unit="px",
                              parser=parse_size)  # fmt: skip
    data: str | None = setting(None, "KIND:PATH; kinds: imagefolder (a folder a class), folder, parquet, imagenet, "
                               "imagenet-s, imagenet9, hfds, hfids, wds, tfds, torch, tar",
                               required="data= says which images to search; give data=KIND:PATH, such as "
                               "data=imagefolder:PATH (kinds: imagefolder, folder, parquet, imagenet, imagenet-s, "
                               "imagenet9, hfds, hfids, wds, tfds, torch, tar)")  # fmt: skip
    split: str | None = setting(None, "part of the data: train, val, ...; val where there is one when null")
    classes: str | None = setting(
        None,
        "file with names of classes, 'label TAB name' or a name a line; a classes.tsv beside Parquet files when null",
    )
    label_file: str | None = setting(None, "labels of a flat imagenet split: lines of 'file wnid' or 'file label'")
    limit: int | None = setting(None, "search only the first so many images", unit="images", minimum=1)
    regions: str = setting("auto", "where objects are: auto (as the data has them), none, polygons:FOLDER, "
                           "masks:FOLDER")  # fmt: skip
    units: list[str] = setting(["blocks.*.mlp:*"], "unit addresses SITE:UNITS; SITE may hold * and {0,5}, UNITS is "
                               "3 | 0-7 | 3,17 | * | ~8 (eight drawn by seed)", parser=split_units)  # fmt: skip
    tokens: Any = setting("patches", "positions whose mean is an image's activation: patches, cls, all, an index, or "
                          "a box [top,left,bottom,right]")  # fmt: skip
    k: int = setting(20, "strongest and weakest images kept for each unit", unit="images", minimum=1, maximum=10000)
    sample: int = setting(512, "images drawn from the data, from which deciles are read", unit="images", minimum=0)
    per_decile: int = setting(2, "images kept from each tenth of a unit's distribution", unit="images", minimum=0)
    seed: int = setting(0, "decides which images are drawn, and which units ~8 means", minimum=0)
    maps: bool = setting(True, "keep a patch map of each strongest image")
    thumbs: str = setting("all", "images that get a thumbnail: all that a record names, or only the strongest",
                          choices=("all", "strongest", "none"))  # fmt: skip
    strips: str = setting("all", "units that get a strip of pictures: all, none, or so many of each site")
    strip_images: int = setting(4, "exemplars in a strip, each with its map", unit="images", minimum=1)
    fit: str | None = setting(None, "run folder of vitvis.fit whose images stand beside the exemplars")
    batch_size: int | None = setting(None, "images a forward pass; 32 on a CPU and 64 on a GPU when null",
                                     unit="images", minimum=1)  # fmt: skip
    workers: int | None = setting(None, "processes that decode images; chosen for the machine when null", minimum=0)
    checkpoint_every: int = setting(5000, "images between the checkpoints a killed search goes on from; 0: none",
                                    unit="images", minimum=0)  # fmt: skip
    trainer: SearchTrainerSettings = setting(SearchTrainerSettings, "where the work is done")
    out: str | None = setting(None, "the run folder, where a killed search goes on; out/search-MODEL-HASH when null")
