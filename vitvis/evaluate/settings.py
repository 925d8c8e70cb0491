"""Settings of `python -m vitvis.evaluate`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vitvis.config.core import setting
from vitvis.fit.settings import parse_size

__all__ = ["EvaluateSettings", "EvaluateLoggerSettings", "EvaluateTrainerSettings"]


@dataclass
class EvaluateTrainerSettings:
    """Where the work is done: Lightning's own launchers, several devices and nodes, precision."""

    accelerator: str = setting("auto", "hardware", choices=("auto", "cpu", "gpu", "cuda", "mps"))
    devices: Any = setting("auto", "devices on this machine: a number, a list of indices, or auto")
    num_nodes: int = setting(1, "machines", minimum=1)
    precision: str = setting("32-true", "arithmetic of the models", choices=("32-true", "bf16-mixed"))
    progress: str = setting("auto", "auto: one line that moves on a terminal, lines elsewhere",
                            choices=("auto", "bar", "lines", "none"))  # fmt: skip


@dataclass
class EvaluateLoggerSettings:
    """Where the tables and charts go, beside the run folder."""

    kind: list[str] = setting(["none"], "one or more of these", choices=("wandb", "none"))
    mode: str = setting("auto", "W&B: auto is online with an API key, else offline",
                        choices=("auto", "online", "offline", "disabled"))  # fmt: skip
    project: str = setting("vitvis", "W&B project")
    entity: str | None = setting(None, "W&B team or user")
    name: str | None = setting(None, "name of the run; the folder's name when null")


@dataclass
class EvaluateSettings:
    """Measure how much models lean on background and foreground."""

    models: list[str] = setting(["vitvis_vit", "vitvis_resnet"], "bundled models or any timm models")
    weights: list[str] = setting(["hub"], "hub (bundled or downloaded), none (random), or a .safetensors / .pth file; "
                                 "one for all, or one for each model")  # fmt: skip
    image_size: Any = setting(None, "side of the image for all models, or ROWSxCOLUMNS; each model's own when null",
                              unit="px", parser=parse_size)  # fmt: skip
    crop_pct: float | None = setting(None, "share of the image that every model's crop keeps: 1 shows all of it, as "
                                     "ImageNet-9's own script does; each model's own when null",
                                     minimum=0.1, maximum=1)  # fmt: skip
    data: str | None = setting(None, "KIND:PATH; kinds: imagenet, imagenet9, imagenet-s, parquet, folder, imagefolder, "
                               "hfds, torch, tar",
                               required="data= says which photos to measure on; give data=KIND:PATH, such as "
                               "data=imagenet:/data/ILSVRC (kinds: imagenet, imagenet9, imagenet-s, parquet, folder, "
                               "imagefolder, hfds, torch, tar)")  # fmt: skip
    split: str | None = setting(None, "part of the data: train, val, ...; val where there is one when null")
    regions: str = setting("auto", "where objects are: auto (as the data has them), none, polygons:FOLDER, "
                           "masks:FOLDER")  # fmt: skip
    label_file: str | None = setting(None, "labels of a flat imagenet split: lines of 'file wnid' or 'file label'")
    labels: str = setting("auto", "which output is which class: auto (same number, else WordNet ids), same, or a file "
                          "(lines of 'class output', or ImageNet-9's in_to_in9.json)")  # fmt: skip
    limit: int | None = setting(None, "measure only so many images, drawn by seed", unit="images", minimum=1)
    probe: str = setting("masks", "what is measured: masks (foreground, background), lowpass (accuracy against the "
                         "cut-off of a filter), tokens (single patch tokens, CLS isolated; plain ViTs)",
                         choices=("masks", "lowpass", "tokens"))  # fmt: skip
    variants: list[str] = setting(["full", "foreground", "background"], "what is shown (probe=masks)",
                                  choices=("full", "foreground", "background"))  # fmt: skip
    fill: list[str] = setting(["black"], "what stands where something is left out; one or more",
                              choices=("black", "mean", "blur", "noise", "inpaint"))  # fmt: skip
    radii: list[float] = setting([2, 4, 8, 12, 16, 24, 32], "cut-offs (probe=lowpass)", unit="cycles per image",
                                 minimum=0)  # fmt: skip
    box_sizes: list[float] = setting([0.1, 0.4], "shares of the image at which a medium and a large object begin",
                                     minimum=0, maximum=1)  # fmt: skip
    bootstrap: int = setting(2000, "draws behind the 95 % intervals", unit="draws", minimum=10)
    batch_size: int = setting(64, "images a model sees at once, variants counted", unit="images", minimum=1)
    workers: int | None = setting(None, "processes that decode images; chosen for the machine when null", minimum=0)
    seed: int = setting(0, "decides the noise fill, the draws of `limit` and of the bootstrap", minimum=0)
    trainer: EvaluateTrainerSettings = setting(EvaluateTrainerSettings, "where the work is done")
    logger: EvaluateLoggerSettings = setting(EvaluateLoggerSettings, "where tables go, beside the run folder")
    out: str | None = setting(None, "the run folder; out/evaluate-PROBE-HASH when null")
