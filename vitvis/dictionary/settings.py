"""Settings of `python -m vitvis.dictionary`."""

from __future__ import annotations

from dataclasses import dataclass

from vitvis.config import limits, setting
from vitvis.config.parsers import parse_tokens
from vitvis.config.sizes import parse_image_size
from vitvis.launch.settings import LoggerSettings

__all__ = ["DictionarySettings", "DictionaryTrainerSettings"]


@dataclass
class DictionaryTrainerSettings:
    """Where the work is done: one device."""

    accelerator: str = setting("auto", choices=("auto", "cpu", "gpu", "cuda", "mps"))
    """Hardware."""
    threads: int = setting(0, minimum=0, maximum=limits.PROCESSES)
    """CPU threads; 0: torch's own choice."""
    progress: str = setting("auto", choices=("auto", "bar", "lines", "none"))
    """auto: a bar on a terminal, plain lines elsewhere."""
    checkpoint_every: float = setting(60.0, unit="s", minimum=0, maximum=1e6)
    """Seconds between the checkpoints that a killed training goes on from, each after a whole round."""


@dataclass
class DictionarySettings:
    """Train a sparse autoencoder (TopK) on the activations of one site."""

    model: str = setting("vitvis_vit")
    """A bundled model or any other that fit takes."""
    weights: str = setting("hub", path="weights")
    """hub (bundled or downloaded), none (random), or a .safetensors / .pth file."""
    image_size: int | list[int] | None = setting(None, unit="px", parser=parse_image_size)
    """Side of the image, or ROWSxCOLUMNS; the model's own when null."""
    data: str | None = setting(
        None,
        required="data= says which images to train on; give data=KIND:PATH, such as data=imagefolder:PATH",
        path="any",
    )
    """KIND:PATH, as in vitvis.search; kinds that can be read in any order."""
    split: str | None = setting(None)
    """Part of the data: train, val, ...; val where there is one when null."""
    limit: int | None = setting(None, unit="images", minimum=1, maximum=limits.IMAGES)
    """Use only the first so many images."""
    site: str = setting("", required="site= says which activations the dictionary is for, such as site=blocks.8.block")
    """The site; vitvis.sites lists them."""
    tokens: str | int | list[int] = setting("patches", parser=parse_tokens)
    """Positions to train on: patches, cls, all, the index of a patch, or a box [top,left,bottom,right] in patches."""
    expansion: float = setting(8.0, unit="x", above=0, maximum=1024)
    """Latents, in widths of the site."""
    k: int = setting(16, unit="latents", minimum=1, maximum=limits.COUNT)
    """Latents that are on at a token."""
    images: int = setting(100_000, unit="images", minimum=1, maximum=limits.IMAGES)
    """Images to train on; where the data has fewer, they come again in another order."""
    repeats: int = setting(1, minimum=1, maximum=1000)
    """Times that each activation is trained on before the next are made: a step costs less than an activation."""
    batch: int = setting(1024, unit="tokens", minimum=1, maximum=limits.COUNT)
    """Tokens a step."""
    round: int = setting(131_072, unit="tokens", minimum=1, maximum=limits.IMAGES)
    """Tokens that are held in memory and shuffled together."""
    holdout: int = setting(1024, unit="images", minimum=1, maximum=limits.IMAGES)
    """Images that are never trained on, by which the dictionary is measured in the end."""
    lr: float = setting(1e-3, above=0, maximum=10)
    """Learning rate of Adam; falls to 0 over the last part of the training, see `decay`."""
    decay: float = setting(0.5, minimum=0, maximum=1)
    """Share of the steps over which the rate falls."""
    dead_after: int = setting(262_144, unit="tokens", minimum=1, maximum=limits.IMAGES)
    """A latent that has been off for so many tokens is dead, and is revived."""
    revive: float = setting(1 / 32, minimum=0, maximum=100)
    """Weight of the loss that lets dead latents explain what the others leave; 0: none."""
    seed: int = setting(0, minimum=0, maximum=limits.SEED)
    """Of the start, and of the order of images and tokens."""
    batch_size: int | None = setting(None, unit="images", minimum=1, maximum=limits.COUNT)
    """Images a forward pass; 64 on a CPU and 256 on a GPU when null."""
    workers: int | None = setting(None, minimum=0, maximum=limits.PROCESSES)
    """Processes that decode images; chosen for the machine when null."""
    trainer: DictionaryTrainerSettings = setting(DictionaryTrainerSettings)
    """Where the work is done."""
    logger: LoggerSettings = setting(LoggerSettings)
    """Where the curves go."""
    out: str | None = setting(None, path="out")
    """The run folder, which is the dictionary as well; out/dictionary-MODEL-SITE-HASH when null."""
