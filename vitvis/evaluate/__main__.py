"""Measure how much models lean on background and foreground: `python -m vitvis.evaluate`."""

from __future__ import annotations

import sys

from vitvis.config.core import parse
from vitvis.errors import run_main
from vitvis.evaluate.settings import EvaluateSettings

__all__ = ["main"]

DESCRIPTION = "Measure how much models lean on background and foreground (or on frequencies, or on single tokens)."
EXAMPLES = (
    "python -m vitvis.evaluate data=parquet:photos.parquet",
    "python -m vitvis.evaluate models='[vit_base_patch16_224,resnet50]' data=imagenet:/data/ILSVRC fill='[black,mean]'",
    "python -m vitvis.evaluate models=resnet50 data=imagenet9:/data/bg_challenge labels=in_to_in9.json",
    "python -m vitvis.evaluate data=photos.parquet probe=lowpass radii='[4,8,16,32]'",
    "python -m vitvis.evaluate models=vit_base_patch16_224 data=imagenet:/data/ILSVRC probe=tokens",
)


def main(argv: list[str]) -> int:
    """Parse, evaluate, print the tables."""
    settings = parse(EvaluateSettings, argv, prog="vitvis.evaluate", description=DESCRIPTION, examples=EXAMPLES)
    if not settings.data:
        from vitvis.errors import VitvisError

        raise VitvisError(
            "give data=KIND:PATH, such as data=imagenet:/data/ILSVRC"
            " (kinds: imagenet, imagenet9, imagenet-s, parquet, folder)"
        )
    from vitvis.evaluate.engine import evaluate

    results = evaluate(settings)
    if results is not None:
        from rich.console import Console

        from vitvis.evaluate.report import to_terminal

        console = Console(width=None if sys.stdout.isatty() else 120)
        about = results["about"]
        console.print(f"{about['images']} images of {about['data']}, {about['skipped']} skipped", highlight=False)
        for table in to_terminal(results):
            console.print(table)
        console.print("± is the wider side of the 95 % interval; results.md has both ends", style="dim")
        console.print(f"results in {results['out']}", highlight=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(run_main(main))
