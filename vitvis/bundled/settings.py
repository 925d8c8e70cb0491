"""Settings of `python -m vitvis.bundled.train`."""

from __future__ import annotations

from dataclasses import dataclass

from vitvis.config.core import setting

__all__ = ["DataSettings", "OptimSettings", "TrainSettings"]


@dataclass
class DataSettings:
    """The photos and what happens to them."""

    path: str | None = setting(None, "folder with train-*.parquet and val.parquet (columns image, label)",
                               required="data.path: name the folder of Tiny-ImageNet's train-*.parquet")  # fmt: skip
    cache: str | None = setting(None, "folder for the decoded photos (1.2 GB); the run folder when null")
    held_out: int = setting(2000, "training photos kept aside to choose settings by", unit="photos", minimum=0)
    crop_scale: list[float] = setting([0.35, 1.0], "share of the area that a random crop keeps, from and to")
    flip: float = setting(0.5, "chance of a horizontal flip", minimum=0, maximum=1)
    mixup: float = setting(0.0, "mixup's alpha; 0 is off", minimum=0)
    cutmix: float = setting(0.0, "cutmix's alpha; 0 is off", minimum=0)
    noise: list[list[float]] = setting([[0.0, 0.0]], "[share of the run, standard deviation up to which Gaussian noise "
                                       "is added] to photos in [0, 1], drawn for each photo")  # fmt: skip


@dataclass
class OptimSettings:
    """Muon for matrices and flattened kernels, AdamW for the rest, and a warm-up, constant, linear-decay schedule."""

    name: str = setting("muon", "any optimiser timm knows")
    lr: float = setting(2e-3, "learning rate at its highest", minimum=0)
    weight_decay: float = setting(0.05, "decoupled weight decay, not on biases and norms", minimum=0)
    warmup: int = setting(300, "steps of linear warm-up", unit="steps", minimum=0)
    decay: float = setting(0.3, "last share of the steps over which the rate falls to 0", minimum=0, maximum=1)
    clip: float = setting(1.0, "largest norm of the gradient; 0 is off", minimum=0)


@dataclass
class TrainSettings:
    """Train one of the bundled models."""

    model: str = setting("vitvis_vit", "which one", choices=("vitvis_vit", "vitvis_resnet"))
    init: str | None = setting(None, "a checkpoint or safetensors file to start from; random when null")
    resume: str | None = setting(None, "a checkpoint to go on from, optimiser and step count included, in another run "
                                 "folder")  # fmt: skip
    epochs: float = setting(10.0, "passes over the training photos", unit="epochs", minimum=0)
    batch: int = setting(128, "photos a step", unit="photos", minimum=1)
    sizes: list[list[float]] = setting([[0.0, 32], [0.75, 48], [0.9, 64]], "[share of the run, side in px] from which "
                                       "share on which size is trained")  # fmt: skip
    patch_drop: list[list[float]] = setting([[0.0, 0.0]], "[share of the run, share of the ViT's patches left out of a "
                                            "step] (no effect on the ResNet)")  # fmt: skip
    label_smoothing: float = setting(0.1, "label smoothing", minimum=0, maximum=1)
    drop_path: float = setting(0.0, "stochastic depth, rising to this in the last block", minimum=0, maximum=1)
    mimetic: bool = setting(True, "start the ViT's attention near the identity (no effect on the ResNet)")
    ema: float = setting(0.0, "decay of the averaged weights, per step; 0 is off", minimum=0, maximum=1)
    seed: int = setting(0, "seed of weights, order, crops and everything else that is drawn")
    data: DataSettings = setting(DataSettings, "the photos")
    optim: OptimSettings = setting(OptimSettings, "the optimiser")
    accelerator: str = setting("auto", "hardware", choices=("auto", "cpu", "gpu", "cuda", "mps"))
    precision: str = setting("bf16-mixed", "arithmetic", choices=("bf16-mixed", "32-true"))
    threads: int = setting(0, "CPU threads; 0: torch's own choice", minimum=0)
    checkpoint_every: int = setting(200, "steps between checkpoints", unit="steps", minimum=1)
    validate_every: int = setting(500, "steps between looks at the held-out photos", unit="steps", minimum=1)
    stop_at: int = setting(0, "stop after this step, as a killed run would; 0: at the end", unit="steps", minimum=0)
    out: str = setting("out/bundled", "run folder; a run in it goes on where it stood")
