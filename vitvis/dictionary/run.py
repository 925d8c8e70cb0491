"""The command `dictionary`, from a shell and from Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vitvis.config import Command, Layer, merge, ready
from vitvis.dictionary.settings import DictionarySettings

if TYPE_CHECKING:
    from vitvis.dictionary.engine import Trained

__all__ = ["COMMAND", "main", "run"]


def run(cfg: Layer = None, /, **settings: Any) -> Trained:
    """Train a sparse autoencoder on the activations of one site.

    Args:
        cfg: Settings, a mapping of them, a list of `a.b=c`, or a YAML file.
        settings: Single settings laid over `cfg`: `vitvis.dictionary.run(data="folder:photos", site="blocks.8.block")`.

    Returns:
        The dictionary's folder and what it is worth.

    Raises:
        VitvisError: settings that can't be followed, or data without an image that could be used.
    """
    asked = ready(merge(DictionarySettings, cfg, settings))
    from vitvis.dictionary.engine import train

    return train(asked)


def _act(settings: DictionarySettings, options: Mapping[str, str]) -> None:
    done = run(settings)
    found = done.summary
    print(
        f"{found['latents']} latents: explained variance {found['explained_variance']:.3f} at L0 = {found['l0']:.1f}, "
        f"{found['dead_share']:.1%} dead on {found['held_out']} images held out"
    )
    print(f"units: {settings.site}@{done.path}:*")


COMMAND = Command(
    name="vitvis.dictionary",
    settings=DictionarySettings,
    action=_act,
    summary="train a sparse autoencoder on one site; its latents are units everywhere",
    description="Train a sparse autoencoder (TopK) on the activations of one site; its latents are units everywhere.",
    examples=(
        "python -m vitvis.dictionary data=imagefolder:photos site=blocks.8.block out=out/sae",
        "python -m vitvis.search data=imagefolder:photos units='blocks.8.block@out/sae:*'",
        "python -m vitvis.fit units='blocks.8.block@out/sae:~8'",
        "python -m vitvis.dictionary model=vit_base_patch16_224 data=imagenet:ILSVRC site=blocks.8.block k=32",
    ),
)
main = COMMAND.main
