"""`python -m vitvis.fit`: optimise an image for any unit of any timm model."""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from vitvis.config.core import parse
from vitvis.errors import VitvisError, run_main
from vitvis.fit.settings import FitSettings

if TYPE_CHECKING:
    from vitvis.fit.engine import Fit

__all__ = ["main"]

DESCRIPTION = (
    "Optimise an image for each unit that is asked for, and leave a folder with the images, a record of each, and a "
    "contact sheet. The same command run again does only what is missing."
)
OPTIONS = {
    "--dry-run": "print the plan (units, chunks, time, disk) and stop; nothing is written",
    "--from-png FILE": "make the image of a PNG again, from what the file says, and compare the two",
}
EXAMPLES = (
    "python -m vitvis.fit",
    "python -m vitvis.fit model=vit_base_patch16_224 units='blocks.*.mlp:0-7'",
    "python -m vitvis.fit --config configs/ghiasi2022.yaml weights=FILE trainer.devices=8",
    "python -m vitvis.fit --dry-run units='blocks.*.mlp:*'",
    "python -m vitvis.fit --from-png out/RUN/images/blocks.4.mlp/17_s0.png out=again",
)


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return run_main(_main, argv)


def _main(argv: list[str]) -> int:
    dry, argv = "--dry-run" in argv, [text for text in argv if text != "--dry-run"]
    argv, original = _from_png(argv)
    settings = parse(
        FitSettings,
        argv,
        prog="python -m vitvis.fit",
        description=DESCRIPTION,
        examples=EXAMPLES,
        options=OPTIONS,
    )
    logging.basicConfig(format="vitvis: %(message)s", level=logging.WARNING)
    if dry:
        _show_plan(settings)
        return 0
    from vitvis.fit.engine import run_fit
    from vitvis.fit.report import compare, report

    done: Fit = run_fit(settings)
    if done.primary:
        print(report(done) if original is None else compare(original, done))
    if done.primary and original is None:
        from vitvis.atlas import write_atlas

        print(f"atlas   {write_atlas([done.path], done.path / 'atlas', title=done.path.name, link=True).path}")
    return 0


def _show_plan(settings: FitSettings) -> None:
    """Print what a run would do and how long it would take; write nothing."""
    began = time.perf_counter()
    from vitvis.fit.engine import Fit
    from vitvis.fit.plan import make_plan

    made = Fit(settings)
    print(make_plan(made, setup=time.perf_counter() - began).text())


def _from_png(argv: list[str]) -> tuple[list[str], Path | None]:
    """Replace `--from-png FILE` by the settings that the file carries."""
    found = next((index for index, text in enumerate(argv) if text.partition("=")[0] == "--from-png"), None)
    if found is None:
        return argv, None
    from vitvis.config.values import flatten
    from vitvis.runs.files import read_png_text

    _, equals, name = argv[found].partition("=")
    rest = argv[found + 1 :]
    if not equals:
        if not rest:
            raise VitvisError("--from-png needs a file: --from-png FILE.png")
        name, rest = rest[0], rest[1:]
    text = read_png_text(name)
    if "settings" not in text:
        raise VitvisError(f"{name}: carries no settings, so it is no image of vitvis.fit")
    settings = json.loads(text["settings"]) | {"out": f"out/again-{Path(name).stem}"}
    return [*flatten(settings), *argv[:found], *rest], Path(name)


if __name__ == "__main__":
    sys.exit(main())
