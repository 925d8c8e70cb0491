"""The command `findings`, from a shell and from Python."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitvis.config import Command, Layer, Option, merge, ready
from vitvis.config.core import recipe_path
from vitvis.findings.settings import FindingsSettings

if TYPE_CHECKING:
    from vitvis.findings.finding import Finding

__all__ = ["COMMAND", "main", "run"]


def run(cfg: Layer = None, /, **settings: Any) -> list[Finding]:
    """Measure the statements of the work on a ViT and a CNN.

    Args:
        cfg: Settings, a mapping of them, a list of `a.b=c`, or a YAML file.
        settings: Single settings laid over `cfg`: `vitvis.findings.run(data="parquet:val.parquet", only=["depth"])`.

    Returns:
        What was found, in the order of the page.

    Raises:
        VitvisError: settings that can't be followed.
    """
    asked = ready(merge(FindingsSettings, cfg, settings))
    from vitvis.findings.engine import run_findings

    return run_findings(asked)


def _act(settings: FindingsSettings, options: Mapping[str, str]) -> None:
    for finding in run(settings):
        print(f"{finding.name:<12}{finding.verdict}")
    print(f"page        {Path(settings.out) / 'findings.md'}")


COMMAND = Command(
    name="vitvis.findings",
    settings=FindingsSettings,
    action=_act,
    summary="check the statements of the work on a ViT and a CNN",
    description="Measure what 'What do Vision Transformers Learn?' says, statement by statement, on a ViT and a CNN: "
    "run the fits, searches and evaluations that each needs, and write OUT/findings.md with pictures, numbers and 95 % "
    "intervals. The same command started again does only what is missing.",
    examples=(
        "python -m vitvis.findings data=parquet:val.parquet",
        "python -m vitvis.findings data=parquet:val.parquet only=kinds,depth out=out/kinds",
        "python -m vitvis.findings --quick data=parquet:val.parquet",
        "python -m vitvis.findings --config configs/findings/article.yaml data=imagefolder:VAL boxes=imagenet:ILSVRC",
    ),
    options={"--quick": Option("a tiny setting that shows the way", layer=lambda _: recipe_path("findings/quick"))},
)
main = COMMAND.main
