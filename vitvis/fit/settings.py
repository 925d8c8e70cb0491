"""Settings of `python -m vitvis.fit`.

Everything in the groups `image`, `augment`, `regularize`, `objective`, `optim` and in `steps`, `copies` is the recipe:
it decides what an image looks like, and its hash names it. The rest says what is made, where, and on what.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vitvis.config import limits, setting
from vitvis.config.addresses import parse_addresses
from vitvis.config.parsers import parse_tokens
from vitvis.config.sizes import parse_image_size
from vitvis.errors import VitvisError
from vitvis.launch.settings import LaunchSettings, LoggerSettings, TrainerSettings, check_shard
from vitvis.launch.shards import parse_shard

__all__ = [
    "AffineSettings",
    "AttentiveSettings",
    "AugmentSettings",
    "ClassesSettings",
    "ColorSettings",
    "ConvolutionalSettings",
    "CropSettings",
    "DiversitySettings",
    "EaseSettings",
    "FitSettings",
    "ImageSettings",
    "JudgingSettings",
    "MatchSettings",
    "NoiseSettings",
    "ObjectiveSettings",
    "OptimSettings",
    "RegularizeSettings",
    "ShiftSettings",
    "StopSettings",
]


@dataclass
class ImageSettings:
    """How pixels come from the parameter that is optimised."""

    kind: str = setting("fourier")
    """Parameterisation: pixel (the paper's), fourier, or phase (MACO: fixed magnitude); or one you registered."""
    start: str = setting("noise", path="file", words=("noise",))
    """noise (drawn by seed), or a picture file that is resized to the image."""
    std: float = setting(0.01, minimum=0, maximum=limits.WEIGHT)
    """Fourier: standard deviation of the starting coefficients."""
    decay: float = setting(1.25, minimum=0, maximum=10)
    """Fourier, phase: amplitude falls as 1 / frequency ** decay; more is smoother."""
    decay_first: float | None = setting(None, minimum=0, maximum=10)
    """Fourier: decay for units of the first block, which look for finer things; from there it grows in a line to
    image.decay at the last; the same everywhere when null."""
    bands: float = setting(0.0, minimum=0, maximum=1)
    """Fourier: share of the steps over which frequencies come in, coarse ones first; 0: all from the start."""
    canvas: float = setting(1.0, minimum=1, maximum=8)
    """Side of the image that is optimised over that of the model's input; above 1 the copies are crops of it
    (augment.crop), and the picture is all of it, made smaller."""
    decorrelate: bool = setting(True)
    """Fourier, phase: work in colours that are uncorrelated in photos."""
    magnitude: str | None = setting(None, path="folder")
    """Phase: folder of images whose mean spectrum is used; 1 / f ** decay when null."""
    contrast: float = setting(1.0, minimum=0, maximum=limits.WEIGHT)
    """Phase: standard deviation of the image before the sigmoid."""

    def __post_init__(self) -> None:
        if self.magnitude is not None and self.kind in ("pixel", "fourier"):
            raise VitvisError(
                f"image.magnitude={self.magnitude}: means nothing to image.kind={self.kind}, but to phase"
            )


@dataclass
class AffineSettings:
    """Shift, rotate and zoom each copy in one interpolation; what comes in from outside is a reflection."""

    shift: float = setting(8.0, unit="px", minimum=0, maximum=limits.PIXELS)
    """Largest shift in each direction."""
    rotate: float = setting(5.0, unit="degrees", minimum=0, maximum=360)
    """Largest angle either way."""
    zoom: float = setting(1.1, minimum=1, maximum=100)
    """Largest zoom in or out, as a factor."""
    fade: float | None = setting(None, minimum=0, maximum=1)
    """Share of the steps over which all three shrink to nothing; null: never."""
    by_depth: bool = setting(True)
    """Grow all three with the depth of the site: units of the first block look at a few pixels, and a large shift is
    noise to them."""
    least: float = setting(0.25, minimum=0, maximum=1)
    """Share of the three that is never undercut, with by_depth: without any, pictures lock to the patch grid."""


@dataclass
class CropSettings:
    """Take a box of the image for each copy, and bring it to the model's size without aliasing."""

    smallest: float = setting(0.4, minimum=0.05, maximum=1)
    """Smallest side of a box, as a share of the image's."""
    largest: float = setting(1.0, minimum=0.05, maximum=1)
    """Largest side of a box, as a share of the image's."""
    spread: float = setting(0.15, minimum=0, maximum=1)
    """Standard deviation of the boxes' middles about that of the image, as a share of its side; boxes stay inside."""
    by_depth: bool = setting(True)
    """Boxes are all of the image for units of the first block, and shrink with depth."""

    def __post_init__(self) -> None:
        if self.smallest > self.largest:
            raise VitvisError(f"augment.crop.smallest={self.smallest}: is above augment.crop.largest={self.largest}")


@dataclass
class ShiftSettings:
    """Cyclic shift by whole pixels (the paper's)."""

    pixels: int = setting(32, unit="px", minimum=0, maximum=limits.PIXELS)
    """Largest shift in each direction."""
    shared: bool = setting(True)
    """One shift for all copies of a step, as in the paper."""


@dataclass
class ColorSettings:
    """Colour shift `(x - mu) / sigma`, one draw per copy and channel (the paper's)."""

    mean: float = setting(1.0, minimum=0, maximum=100)
    """Mu is uniform in -mean..mean."""
    log_std: float = setting(1.0, minimum=0, maximum=10)
    """Log sigma is uniform in -log_std..log_std."""


@dataclass
class NoiseSettings:
    """Gaussian noise whose standard deviation moves in a line over the run."""

    start: float = setting(0.1, minimum=0, maximum=100)
    """Standard deviation in the first step, in units of [0, 1]."""
    end: float = setting(0.02, minimum=0, maximum=100)
    """Standard deviation after the last step."""
    per: str = setting("pixel", choices=("pixel", "channel"))
    """One value a pixel (the paper's text), or a channel of a copy (its released code)."""


@dataclass
class EaseSettings:
    """Crops, warp and noise grow milder for an image whose unit sleeps, and come back once it is awake."""

    mild: float = setting(0.25, minimum=0, maximum=1)
    """Share of their ranges that is left for a unit that sleeps on."""
    over: float = setting(0.3, minimum=0, maximum=1)
    """Share of the steps over which they fall that far, or come back."""
    asleep: float = setting(0.0, minimum=-1000, maximum=1000)
    """A unit sleeps whose strongest tenth of tokens reads this or less on the copies, in standard deviations of its
    site's values on the starting image."""
    awake: float = setting(1.0, minimum=-1000, maximum=1000)
    """One that reads this or more is wide awake; between the two it moves slower."""

    def __post_init__(self) -> None:
        if self.asleep >= self.awake:
            raise VitvisError(f"augment.ease.asleep={self.asleep}: has to be below augment.ease.awake={self.awake}")


@dataclass
class AugmentSettings:
    """What each copy of an image goes through, in this order; null switches an entry off."""

    crop: CropSettings | None = setting(None)
    """Boxes of the image."""
    affine: AffineSettings | None = setting(AffineSettings)
    """Shift, rotate and zoom."""
    shift: ShiftSettings | None = setting(None)
    """Cyclic shift."""
    color: ColorSettings | None = setting(None)
    """Colour shift."""
    noise: NoiseSettings | None = setting(NoiseSettings)
    """Gaussian noise."""
    ease: EaseSettings | None = setting(EaseSettings)
    """How crops, warp and noise ease off while a unit sleeps."""
    kornia: dict[str, Any] = setting({})
    """Any random 2d augmentation of kornia by class name, with its arguments: augment.kornia.RandomGrayscale.p=0.5."""
    extra: dict[str, Any] = setting({})
    """Augmentations you registered, by name, with their arguments."""


@dataclass
class RegularizeSettings:
    """Terms added to the loss, each times its weight; 0 leaves a term out."""

    tv: float = setting(0.0, minimum=0, maximum=limits.WEIGHT)
    """Weight of the paper's total variation, on the augmented copies."""
    total_variation: float = setting(0.0, minimum=0, maximum=limits.WEIGHT)
    """Weight of kornia's total variation (mean absolute difference), on the image."""
    l2: float = setting(0.0, minimum=0, maximum=limits.WEIGHT)
    """Weight of the mean squared distance to grey, on the image."""
    extra: dict[str, float] = setting({})
    """Weights of regularisers you registered, by name."""


@dataclass
class ObjectiveSettings:
    """What is maximised."""

    tokens: str | int | list[int] = setting("patches", parser=parse_tokens)
    """Positions that count: patches, cls, all, the index of a patch (row by row; negative: from the end), or a box
    [top,left,bottom,right] in patches."""
    share: float = setting(0.1, minimum=0, maximum=1)
    """Strongest share of those tokens that is averaged: 1 all, 0.1 the strongest tenth, 0 the strongest alone."""
    share_end: float | None = setting(1.0, minimum=0, maximum=1)
    """Share at the end, reached in a line over the run; as share when null."""
    measure: str = setting("dot", choices=("dot", "cosine"))
    """dot: the activation itself; cosine: over the length of the site's vector."""
    pre: float = setting(1.0, minimum=0, maximum=1)
    """Share of the steps that maximise what goes into the activation function of an mlp site, or into the step that
    makes a dictionary's latents sparse, which keeps units from staying dead: 0 never, 1 always."""


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


@dataclass
class StopSettings:
    """Stop each image once its unit's activation grows no more, never later than `steps`.

    The learning rate stays as it is until then and cools down; the image that is done leaves the batch.
    """

    relative: float = setting(0.05, minimum=0, maximum=10)
    """A unit is on its plateau when its smoothed activation has grown by less than this share of itself ..."""
    patience: int = setting(10, unit="steps", minimum=1, maximum=limits.STEPS)
    """... over so many steps; the half-life of the smoothing is a third of that."""
    cool: float = setting(0.2, minimum=0.01, maximum=1)
    """Share of the steps over which the learning rate then falls to nothing, as a cosine."""


@dataclass
class OptimSettings:
    """How the image is moved: Adam on each image for itself."""

    lr: float | None = setting(None, minimum=0, maximum=limits.WEIGHT)
    """Learning rate; null: that of the parameterisation (pixel 0.1, fourier 0.1, phase 0.3)."""
    betas: list[float] = setting([0.5, 0.99], length=(2, 2), minimum=0, below=1)
    """Adam's decay rates."""
    eps: float = setting(1.0e-7, minimum=0, maximum=1)
    """Adam's epsilon; smaller, and what float32 rounds off becomes a step: an image then depends on the units beside
    it."""
    schedule: str = setting("cosine", choices=("cosine", "constant"))
    """Of the learning rate over the steps: cosine to 0, or constant."""


@dataclass
class AttentiveSettings:
    """What class units of a model with attention bear, beside the rest of the recipe."""

    warp: float = setting(2.4, minimum=0, maximum=100)
    """Factor of the affine's largest angle, and of the logarithm of its largest zoom."""
    noise: float = setting(1.0, minimum=0, maximum=100)
    """Factor of the noise in the first step."""
    noise_end: float = setting(2.5, minimum=0, maximum=100)
    """Factor of the noise after the last step."""
    decay: float = setting(0.25, minimum=-10, maximum=10)
    """Added to image.decay."""
    rate: float = setting(2.0, minimum=0, maximum=100)
    """Factor of the learning rate."""


@dataclass
class ConvolutionalSettings(AttentiveSettings):
    """The same for a model without attention, which loses its classes under noise."""

    warp: float = setting(1.0, minimum=0, maximum=100)
    """Factor of the affine's largest angle, and of the logarithm of its largest zoom."""
    noise: float = setting(0.5, minimum=0, maximum=100)
    """Factor of the noise in the first step."""
    noise_end: float = setting(0.0, minimum=0, maximum=100)
    """Factor of the noise after the last step."""


@dataclass
class ClassesSettings:
    """How the recipe differs for class units, by the model; what it comes to is said in their records (`suited`)."""

    attention: AttentiveSettings = setting(AttentiveSettings)
    """Models with attention."""
    convolution: ConvolutionalSettings = setting(ConvolutionalSettings)
    """All others."""


@dataclass
class JudgingSettings:
    """Who judges the pictures as they are made (`vitvis.judge`); decides no picture."""

    model: str | None = setting(None)
    """Another model that judges each picture, so that records carry its verdict and sweeps can maximise judge; null:
    nobody."""
    weights: str = setting("hub", path="weights")
    """Of the judge: hub (bundled or downloaded) or a file."""
    search: str | None = setting(None, path="folder")
    """Run folder of vitvis.search of the model: photos for the choice test; without it, class units alone are
    judged."""


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
