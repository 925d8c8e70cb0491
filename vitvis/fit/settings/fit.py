"""All settings of `python -m vitvis.fit`, the groups joined."""

from __future__ import annotations

from dataclasses import dataclass

from vitvis.config import limits, setting
from vitvis.config.addresses import parse_addresses
from vitvis.config.sizes import parse_image_size
from vitvis.errors import VitvisError
from vitvis.launch.settings import LaunchSettings, LoggerSettings, TrainerSettings, check_shard
from vitvis.launch.shards import parse_shard

from .augment import AugmentSettings
from .classes import ClassesSettings
from .image import ImageSettings
from .judging import JudgingSettings
from .levers import DiversitySettings, MatchSettings
from .objective import ObjectiveSettings, RegularizeSettings
from .optim import OptimSettings, StopSettings

__all__ = ["FitSettings"]


@dataclass
class FitSettings:
    """Optimise images for units of a backbone."""

    recipe: str | None = setting(None)
    """A shipped recipe by name (see configs/), laid below everything else."""
    model: str = setting("vitvis_vit")
    """A bundled model or any timm model."""
    weights: str = setting("hub", path="weights")
    """hub (bundled or downloaded), none (random), or a .safetensors / .pth file."""
    image_size: int | list[int] | None = setting(None, unit="px", parser=parse_image_size)
    """Side of the image, or ROWSxCOLUMNS; the model's own when null."""
    units: list[str] = setting(["blocks.*.mlp:~4"], parser=parse_addresses, path="any", length=(1, limits.COUNT))
    """Unit addresses SITE:UNITS; SITE may hold * and {0,5}, UNITS is 3 | 0-7 | 3,17 | * | ~8 (eight drawn by seed); a
    leading - minimises."""
    seeds: list[int] = setting([0], minimum=0, maximum=limits.SEED, length=(1, limits.COUNT), unique=True)
    """One image per unit and seed."""
    variants: int = setting(1, unit="images", minimum=1, maximum=64)
    """Pictures of a unit that differ in what the model sees in them, in place of one a seed; they have seeds 0 to V - 1
    (V to 2 V - 1 for seeds=V), and are made together."""
    steps: int = setting(120, unit="steps", minimum=1, maximum=limits.STEPS)
    """Optimisation steps an image."""
    copies: int = setting(1, unit="copies", minimum=1, maximum=limits.COPIES)
    """Augmented copies of each image in a step."""
    chunk: int | None = setting(None, unit="images", minimum=1, maximum=limits.COUNT)
    """Images optimised together; chosen for the device when null."""
    image: ImageSettings = setting(ImageSettings)
    """How pixels come from the parameter that is optimised."""
    augment: AugmentSettings = setting(AugmentSettings)
    """What each copy of an image goes through."""
    regularize: RegularizeSettings = setting(RegularizeSettings)
    """Terms added to the loss."""
    objective: ObjectiveSettings = setting(ObjectiveSettings)
    """What is maximised."""
    classes: ClassesSettings | None = setting(ClassesSettings)
    """How the recipe differs for class units, which bear more than hidden ones; null: not at all."""
    match: MatchSettings | None = setting(None)
    """Likeness to the unit's own best photos, from a search."""
    diversity: DiversitySettings = setting(DiversitySettings)
    """How variants of a unit are pushed apart."""
    stop: StopSettings | None = setting(None)
    """Stop at the plateau, each image for itself; null: all make all steps."""
    optim: OptimSettings = setting(OptimSettings)
    """How the image is moved."""
    trainer: TrainerSettings = setting(TrainerSettings)
    """Where the work is done."""
    logger: LoggerSettings = setting(LoggerSettings)
    """Where curves and sheets go, beside the run folder."""
    judge: JudgingSettings = setting(JudgingSettings)
    """Who judges the pictures as they are made."""
    alpha: float | None = setting(None, minimum=1, maximum=100)
    """Write where the picture matters as a fourth channel of each PNG: the gradient summed over the steps, opaque from
    this percentile on (80 is usual); null: plain RGB."""
    bands: list[int] | None = setting(None, length=(3, 3), minimum=0, maximum=255)
    """Of a model that takes no RGB: three bands that are shown as red, green and blue; grey tiles, one a band, when
    null. All bands lie beside each PNG as .npy."""
    shard: str | None = setting(None, parser=parse_shard)
    """Make one share of the images, `I/N` with I from 0 to N - 1; any number of such processes may work in one folder,
    and the last to end finishes it."""
    finish: bool = setting(False)
    """Make nothing: draw and sum up what the folder holds."""
    launch: LaunchSettings = setting(LaunchSettings)
    """Hand the work to a scheduler as shards, and return."""
    strips: int = setting(0, minimum=0, maximum=1000)
    """Moments of each image to keep as a strip in progress/; 0: none."""
    out: str | None = setting(None, path="out")
    """The run folder, where a killed run goes on; out/MODEL-HASH when null."""

    def __post_init__(self) -> None:
        if self.variants > 1 and self.stop is not None:
            raise VitvisError(f"stop: images stop one by one, and variants={self.variants} of a unit are made together")
        check_shard(self.shard, self.finish, self.trainer, self.launch)
        if self.image.canvas > 1 and self.augment.crop is None:
            raise VitvisError(
                f"image.canvas={self.image.canvas}: copies have to be crops of a larger image; add augment.crop={{}}"
            )
