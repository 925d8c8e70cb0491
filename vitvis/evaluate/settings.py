"""Settings of `python -m vitvis.evaluate`."""

from __future__ import annotations

from dataclasses import dataclass

from vitvis.config import limits, setting
from vitvis.config.sizes import parse_image_size
from vitvis.config.values import shown
from vitvis.errors import VitvisError
from vitvis.launch.settings import LaunchSettings, PlaceSettings, check_shard
from vitvis.launch.shards import parse_shard

__all__ = ["EvaluateSettings", "EvaluateLoggerSettings", "EvaluateTrainerSettings"]


@dataclass
class EvaluateTrainerSettings(PlaceSettings):
    """Where the work is done, and how."""

    precision: str = setting("32-true", choices=("32-true", "bf16-mixed"))
    """Arithmetic of the models."""


@dataclass
class EvaluateLoggerSettings:
    """Where the tables and charts go, beside the run folder."""

    kind: list[str] = setting(["none"], choices=("wandb", "none"), length=(1, 2), unique=True)
    """One or more of these."""
    mode: str = setting("auto", choices=("auto", "online", "offline", "disabled"))
    """W&B: auto is online with an API key, else offline."""
    project: str = setting("vitvis")
    """W&B project."""
    entity: str | None = setting(None)
    """W&B team or user."""
    name: str | None = setting(None)
    """Name of the run; the folder's name when null."""


@dataclass
class EvaluateSettings:
    """Measure how much models lean on background and foreground."""

    models: list[str] = setting(["vitvis_vit", "vitvis_resnet"], length=(1, 1000))
    """Bundled models or any timm models."""
    weights: list[str] = setting(["hub"], length=(1, 1000), path="weights")
    """hub (bundled or downloaded), none (random), or a .safetensors / .pth file; one for all, or one for each model."""
    image_size: int | list[int] | None = setting(None, unit="px", parser=parse_image_size)
    """Side of the image for all models, or ROWSxCOLUMNS; each model's own when null."""
    crop_pct: float | None = setting(None, minimum=0.1, maximum=1)
    """Share of the image that every model's crop keeps: 1 shows all of it, as ImageNet-9's own script does; each
    model's own when null."""
    data: str | None = setting(
        None,
        required="data= says which photos to measure on; give data=KIND:PATH, such as "
        "data=imagenet:/data/ILSVRC (kinds: imagenet, imagenet9, imagenet-s, parquet, folder, "
        "imagefolder, hfds, torch, tar)",
        path="any",
    )
    """KIND:PATH; kinds: imagenet, imagenet9, imagenet-s, parquet, folder, imagefolder, hfds, torch, tar."""
    split: str | None = setting(None)
    """Part of the data: train, val, ...; val where there is one when null."""
    regions: str = setting("auto", path="any")
    """Where objects are: auto (as the data has them), none, polygons:FOLDER, masks:FOLDER."""
    label_file: str | None = setting(None, path="file")
    """Labels of a flat imagenet split: lines of 'file wnid' or 'file label'."""
    labels: str = setting("auto", path="file", words=("auto", "same"))
    """Which output is which class: auto (same number, else WordNet ids), same, or a file (lines of 'class output', or
    ImageNet-9's in_to_in9.json)."""
    limit: int | None = setting(None, unit="images", minimum=1, maximum=limits.IMAGES)
    """Measure only so many images, drawn by seed."""
    probe: str = setting("masks", choices=("masks", "lowpass", "tokens"))
    """What is measured: masks (foreground, background), lowpass (accuracy against the cut-off of a filter), tokens
    (single patch tokens, CLS isolated; plain ViTs)."""
    variants: list[str] = setting(
        ["full", "foreground", "background"], choices=("full", "foreground", "background"), length=(1, 3), unique=True
    )
    """What is shown (probe=masks)."""
    fill: list[str] = setting(
        ["black"], choices=("black", "mean", "blur", "noise", "inpaint"), length=(1, 5), unique=True
    )
    """What stands where something is left out; one or more."""
    radii: list[float] = setting(
        [2, 4, 8, 12, 16, 24, 32],
        unit="cycles per image",
        above=0,
        maximum=limits.PIXELS,
        length=(1, 1000),
        unique=True,
    )
    """Cut-offs (probe=lowpass)."""
    box_sizes: list[float] = setting([0.1, 0.4], minimum=0, maximum=1, length=(2, 2))
    """Shares of the image at which a medium and a large object begin."""
    bootstrap: int = setting(2000, unit="draws", minimum=10, maximum=limits.COUNT)
    """Draws behind the 95 % intervals."""
    batch_size: int = setting(64, unit="images", minimum=1, maximum=limits.COUNT)
    """Images a model sees at once, variants counted."""
    workers: int | None = setting(None, minimum=0, maximum=limits.PROCESSES)
    """Processes that decode images; chosen for the machine when null."""
    seed: int = setting(0, minimum=0, maximum=limits.SEED)
    """Decides the noise fill, the draws of `limit` and of the bootstrap."""
    shard: str | None = setting(None, parser=parse_shard)
    """Do one share of the photos, `I/N` with I from 0 to N - 1; any number of such processes may work in one folder,
    and the last to end joins what all have found."""
    finish: bool = setting(False)
    """Join what shards have found, and refuse if any part is missing."""
    launch: LaunchSettings = setting(LaunchSettings)
    """Hand the work to a scheduler as shards, and return."""
    trainer: EvaluateTrainerSettings = setting(EvaluateTrainerSettings)
    """Where the work is done."""
    logger: EvaluateLoggerSettings = setting(EvaluateLoggerSettings)
    """Where tables go, beside the run folder."""
    out: str | None = setting(None, path="out")
    """The run folder; out/evaluate-PROBE-HASH when null."""

    def __post_init__(self) -> None:
        check_shard(self.shard, self.finish, self.trainer, self.launch)
        if len(self.weights) not in (1, len(self.models)):
            raise VitvisError(
                f"weights: {len(self.weights)} given for {len(self.models)} models; give one, or one each"
            )
        if len(set(self.contenders)) < len(self.models):
            raise VitvisError(f"models={shown(self.models)}: a model stands twice with the same weights")
        if self.box_sizes != sorted(self.box_sizes):
            raise VitvisError(f"box_sizes={self.box_sizes}: give the smaller share first, such as box_sizes=[0.1,0.4]")

    @property
    def contenders(self) -> list[tuple[str, str]]:
        """Each model with its weights."""
        weights = self.weights * (len(self.models) if len(self.weights) == 1 else 1)
        return list(zip(self.models, weights, strict=True))
