"""Score pictures by an eye that did not make them: `python -m vitvis.judge`."""

from __future__ import annotations

import sys

from vitvis.config.core import parse
from vitvis.errors import run_main
from vitvis.judge.run import check
from vitvis.judge.settings import JudgeSettings

__all__ = ["main"]

DESCRIPTION = (
    "Score optimised pictures by another model: does it see the class, does the picture tell which photos excite the "
    "unit, how natural, how sturdy is it, do seeds agree."
)
EXAMPLES = (
    "python -m vitvis.judge run=out/RUN judge=vitvis_resnet search=out/SEARCH",
    "python -m vitvis.judge run=[out/A,out/B] judge=resnet50 data=imagefolder:VAL",
    "python -m vitvis.judge run=out/RUN judge=[resnet50,convnext_tiny] search=out/SEARCH",
)


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    settings = parse(
        JudgeSettings,
        sys.argv[1:] if argv is None else argv,
        prog="python -m vitvis.judge",
        description=DESCRIPTION,
        examples=EXAMPLES,
    )
    check(settings)
    from vitvis.judge.engine import judge_runs
    from vitvis.judge.report import table

    done = judge_runs(settings)
    if done:
        print(table(done))
        for item in done:
            print(item.path / "judge" / f"{item.name}.parquet")
    return 0


if __name__ == "__main__":
    raise SystemExit(run_main(main))
