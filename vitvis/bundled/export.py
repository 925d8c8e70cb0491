"""Turn a checkpoint into the file that is shipped: `python -m vitvis.bundled.export checkpoint=LAST.ckpt file=OUT`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vitvis.config import Command, setting
from vitvis.errors import VitvisError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["COMMAND", "ExportSettings", "average_weights", "export", "main", "read_weights"]

_PREFIX = "model."


@dataclass
class ExportSettings:
    """Store the weights of a training as fp16 safetensors."""

    checkpoint: str | None = setting(
        None, required="checkpoint: name a checkpoint of vitvis.bundled.train", path="file"
    )
    """A checkpoint of vitvis.bundled.train."""
    average: list[str] = setting([], path="file")
    """Further checkpoints, ends of other branches of the same training: what is stored is the mean of all that are
    named, one that is named twice counting twice (model soups, Wortsman et al. 2022, arXiv:2203.05482)."""
    file: str | None = setting(None, path="any")
    """The safetensors file to write; beside the checkpoint when null."""


def read_weights(file: Path) -> dict[str, Tensor]:
    """Read a model's weights from a safetensors file or from a checkpoint of the training.

    Where the training averaged its weights, these are the averages.

    Returns:
        Tensors under the names of the timm model; floating point numbers as float32.

    Raises:
        VitvisError: no such file, or no weights of a bundled model in it.
    """
    import torch

    if not file.is_file():
        raise VitvisError(f"{file}: no such file")
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        found = load_file(file)
    else:
        state = torch.load(file, map_location="cpu", weights_only=True).get("state_dict", {})
        found = {name.removeprefix(_PREFIX): value for name, value in state.items() if name.startswith(_PREFIX)}
    if not found:
        raise VitvisError(f"{file}: holds no weights of a bundled model")
    return {name: value.float() if value.is_floating_point() else value for name, value in found.items()}


def average_weights(files: Sequence[Path]) -> dict[str, Tensor]:
    """Return the mean of the weights, and of a batch norm's statistics, of several files; counters are the first one's.

    Raises:
        VitvisError: no weights of a bundled model in one, or those of another model.
    """
    mean = read_weights(files[0])
    for number, file in enumerate(files[1:], start=2):
        other = read_weights(file)
        if {name: value.shape for name, value in other.items()} != {name: value.shape for name, value in mean.items()}:
            raise VitvisError(f"{file}: holds weights of another model than {files[0]}")
        mean = {
            name: value + (other[name] - value) / number if value.is_floating_point() else value
            for name, value in mean.items()
        }
    return mean


def export(checkpoint: Path, file: Path, average: Sequence[Path] = ()) -> str:
    """Write the weights of a checkpoint as fp16 safetensors, whole or not at all.

    Args:
        checkpoint: Of `vitvis.bundled.train`.
        file: Where to.
        average: Further ones; their mean with it is written.

    Returns:
        The SHA-256 of the file.

    Raises:
        VitvisError: no weights there, those of another model, or some that fp16 can't hold.
    """
    from safetensors.torch import save_file

    from vitvis.bundled.models import sha256_of

    halves = {}
    for name, value in sorted(average_weights([checkpoint, *average]).items()):
        halves[name] = value.half().contiguous() if value.is_floating_point() else value.contiguous()
        if not halves[name].isfinite().all():
            raise VitvisError(f"{checkpoint}: {name} holds numbers that are not finite in fp16")
    part = file.with_name(f".{file.name}.{os.getpid()}")
    save_file(halves, part, metadata={"format": "pt"})
    part.rename(file)
    return sha256_of(file)


def _act(settings: ExportSettings, options: Mapping[str, str]) -> None:
    checkpoint = Path(settings.checkpoint or "")
    file = Path(settings.file) if settings.file else checkpoint.with_suffix(".safetensors")
    print(f"{file}  sha256 {export(checkpoint, file, [Path(other) for other in settings.average])}")


COMMAND = Command(
    name="vitvis.bundled.export",
    settings=ExportSettings,
    action=_act,
    summary="turn a checkpoint of that training into the file that ships",
    description="Store the weights of a training as the fp16 file that vitvis ships.",
    examples=("python -m vitvis.bundled.export checkpoint=out/bundled/last.ckpt file=new.safetensors",),
)
main = COMMAND.main

if __name__ == "__main__":
    sys.exit(COMMAND.main())
