"""Check the statements of the work on any pair of models: `python -m vitvis.findings`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitvis.config.core import merge, parse, recipe_path
from vitvis.errors import VitvisError, run_main
from vitvis.findings.settings import FindingsSettings

if TYPE_CHECKING:
    from vitvis.findings.finding import Finding

__all__ = ["findings", "main"]

DESCRIPTION = (
    "Measure what 'What do Vision Transformers Learn?' says, statement by statement, on a ViT and a CNN: run the fits, "
    "searches and evaluations that each needs, and write OUT/findings.md with pictures, numbers and 95 % intervals. "
    "The same command started again does only what is missing. --quick is a tiny setting that shows the way."
)
EXAMPLES = (
    "python -m vitvis.findings data=parquet:val.parquet",
    "python -m vitvis.findings data=parquet:val.parquet only=kinds,depth out=out/kinds",
    "python -m vitvis.findings --quick data=parquet:val.parquet",
    "python -m vitvis.findings --config configs/findings/article.yaml data=imagefolder:VAL boxes=imagenet:ILSVRC",
)


def findings(
    cfg: FindingsSettings | Mapping[str, Any] | list[str] | str | Path | None = None, /, **settings: Any
) -> list[Finding]:
    """Measure the statements; `settings` are laid over `cfg` as in `vitvis.fit`.

    Returns:
        What was found, in the order of the page.

    Raises:
        VitvisError: settings that can't be followed.
    """
    from vitvis.findings.engine import run_findings

    return run_findings(merge(FindingsSettings, *(layer for layer in (cfg, settings) if layer)))


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return run_main(_main, argv)


def _main(argv: list[str]) -> int:
    settings = parse(FindingsSettings, with_quick(argv), prog="python -m vitvis.findings", description=DESCRIPTION,
                     examples=EXAMPLES)  # fmt: skip
    if settings.notes and not Path(settings.notes).is_file():
        raise VitvisError(f"notes={settings.notes}: no such file")
    logging.basicConfig(format="vitvis: %(message)s", level=logging.WARNING)
    from vitvis.findings.engine import run_findings

    for finding in run_findings(settings):
        print(f"{finding.name:<12}{finding.verdict}")
    print(f"page        {Path(settings.out) / 'findings.md'}")
    return 0


def with_quick(argv: list[str]) -> list[str]:
    """Replace `--quick` (or `quick=true`) by the settings file that it stands for, below all that is typed."""
    quick = [text for text in argv if text in ("--quick", "quick=true", "--quick=true")]
    rest = [text for text in argv if text not in quick]
    return ["--config", str(recipe_path("findings/quick")), *rest] if quick else rest


if __name__ == "__main__":
    sys.exit(main())
