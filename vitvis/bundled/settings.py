"""Settings of `python -m vitvis.bundled.train`."""

from __future__ import annotations

from dataclasses import dataclass

from vitvis.config import limits, setting

__all__ = ["DataSettings", "OptimSettings", "TrainSettings"]


@dataclass
class DataSettings:
    """The photos and what happens to them."""

    path: str | None = setting(
        None, required="data.path: name the folder of Tiny-ImageNet's train-*.parquet", path="folder"
    )
    """Folder with train-*.parquet and val.parquet (columns image, label)."""
    cache: str | None = setting(None, path="out")
    """Folder for the decoded photos (1.2 GB); the run folder when null."""
    held_out: int = setting(2000, unit="photos", minimum=0, maximum=limits.IMAGES)
    """Training photos kept aside to choose settings by."""
    crop_scale: list[float] = setting([0.35, 1.0], length=(2, 2), above=0, maximum=1)
    """Share of the area that a random crop keeps, from and to."""
    flip: float = setting(0.5, minimum=0, maximum=1)
    """Chance of a horizontal flip."""
    mixup: float = setting(0.0, minimum=0, maximum=100)
    """Mixup's alpha; 0 is off."""
    cutmix: float = setting(0.0, minimum=0, maximum=100)
    """Cutmix's alpha; 0 is off."""
    noise: list[list[float]] = setting([[0.0, 0.0]])
    """[share of the run, standard deviation up to which Gaussian noise is added] to photos in [0, 1], drawn for each
    photo."""


@dataclass
class OptimSettings:
    """Muon for matrices and flattened kernels, AdamW for the rest, and a warm-up, constant, linear-decay schedule."""

    name: str = setting("muon")
    """Any optimiser timm knows."""
    lr: float = setting(2e-3, minimum=0, maximum=limits.WEIGHT)
    """Learning rate at its highest."""
    weight_decay: float = setting(0.05, minimum=0, maximum=limits.WEIGHT)
    """Decoupled weight decay, not on biases and norms."""
    warmup: int = setting(300, unit="steps", minimum=0, maximum=limits.STEPS)
    """Steps of linear warm-up."""
    decay: float = setting(0.3, minimum=0, maximum=1)
    """Last share of the steps over which the rate falls to 0."""
    clip: float = setting(1.0, minimum=0, maximum=limits.WEIGHT)
    """Largest norm of the gradient; 0 is off."""


@dataclass
class TrainSettings:
    """Train one of the bundled models."""

    model: str = setting("vitvis_vit", choices=("vitvis_vit", "vitvis_resnet"))
    """Which one."""
    init: str | None = setting(None, path="file")
    """A checkpoint or safetensors file to start from; random when null."""
    resume: str | None = setting(None, path="file")
    """A checkpoint to go on from, optimiser and step count included, in another run folder."""
    epochs: float = setting(10.0, unit="epochs", above=0, maximum=100000)
    """Passes over the training photos."""
    batch: int = setting(128, unit="photos", minimum=1, maximum=limits.COUNT)
    """Photos a step."""
    sizes: list[list[float]] = setting([[0.0, 32], [0.75, 48], [0.9, 64]])
    """[share of the run, side in px] from which share on which size is trained."""
    patch_drop: list[list[float]] = setting([[0.0, 0.0]])
    """[share of the run, share of the ViT's patches left out of a step] (no effect on the ResNet)."""
    label_smoothing: float = setting(0.1, minimum=0, maximum=1)
    """Label smoothing."""
    drop_path: float = setting(0.0, minimum=0, maximum=1)
    """Stochastic depth, rising to this in the last block."""
    mimetic: bool = setting(True)
    """Start the ViT's attention near the identity (no effect on the ResNet)."""
    ema: float = setting(0.0, minimum=0, maximum=1)
    """Decay of the averaged weights, per step; 0 is off."""
    seed: int = setting(0, minimum=0, maximum=limits.SEED)
    """Seed of weights, order, crops and everything else that is drawn."""
    data: DataSettings = setting(DataSettings)
    """The photos."""
    optim: OptimSettings = setting(OptimSettings)
    """The optimiser."""
    accelerator: str = setting("auto", choices=("auto", "cpu", "gpu", "cuda", "mps"))
    """Hardware."""
    precision: str = setting("bf16-mixed", choices=("bf16-mixed", "32-true"))
    """Arithmetic."""
    threads: int = setting(0, minimum=0, maximum=limits.PROCESSES)
    """CPU threads; 0: torch's own choice."""
    checkpoint_every: int = setting(200, unit="steps", minimum=1, maximum=limits.STEPS)
    """Steps between checkpoints."""
    validate_every: int = setting(500, unit="steps", minimum=1, maximum=limits.STEPS)
    """Steps between looks at the held-out photos."""
    stop_at: int = setting(0, unit="steps", minimum=0, maximum=limits.STEPS)
    """Stop after this step, as a killed run would; 0: at the end."""
    out: str = setting("out/bundled", path="out")
    """Run folder; a run in it goes on where it stood."""
