"""The command `evaluate`, from a shell and from Python."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from vitvis.config import Command, Layer, merge, ready
from vitvis.evaluate.settings import EvaluateSettings
from vitvis.launch.cluster import check_here, launched

__all__ = ["COMMAND", "main", "run"]


def run(cfg: Layer = None, /, **settings: Any) -> dict[str, Any] | None:
    """Measure how much models lean on background and foreground, on frequencies, or on single tokens.

    Args:
        cfg: Settings, a mapping of them, a list of `a.b=c`, or a YAML file.
        settings: Single settings laid over `cfg`: `vitvis.evaluate.run(models="resnet50", data="parquet:v.parquet")`.

    Returns:
        What `results.json` holds; None on ranks other than 0, and of `shard=` where others are missing.

    Raises:
        VitvisError: settings that can't be followed.
    """
    asked = ready(merge(EvaluateSettings, cfg, settings))
    check_here(asked.launch)
    from vitvis.evaluate.engine import evaluate

    return evaluate(asked)


def _act(settings: EvaluateSettings, options: Mapping[str, str]) -> None:
    results = run(settings)
    if results is None:
        if settings.shard:
            print(f"shard {settings.shard} is done; others are not")
        return
    from rich.console import Console

    from vitvis.evaluate.report import plus_minus, to_terminal

    console = Console(width=None if sys.stdout.isatty() else 120)
    about = results["about"]
    console.print(f"{about['images']} images of {about['data']}, {about['skipped']} skipped", highlight=False)
    for table in to_terminal(results):
        console.print(table)
    console.print(f"{plus_minus()} is the wider side of the 95 % interval; results.md has both ends", style="dim")
    console.print(f"results in {results['out']}", highlight=False, soft_wrap=True)


COMMAND = Command(
    name="vitvis.evaluate",
    settings=EvaluateSettings,
    action=launched("vitvis.evaluate", _act),
    summary="measure how much models lean on background and foreground",
    description="Measure how much models lean on background and foreground (or on frequencies, or on single tokens).",
    examples=(
        "python -m vitvis.evaluate data=parquet:photos.parquet",
        "python -m vitvis.evaluate models='[vit_base_patch16_224,resnet50]' data=imagenet:/data/ILSVRC "
        "fill='[black,mean]'",
        "python -m vitvis.evaluate models=resnet50 data=imagenet9:/data/bg_challenge labels=in_to_in9.json",
        "python -m vitvis.evaluate data=parquet:photos.parquet probe=lowpass radii='[4,8,16,32]'",
        "python -m vitvis.evaluate models=vit_base_patch16_224 data=imagenet:/data/ILSVRC probe=tokens",
    ),
)
main = COMMAND.main
