"""Search data for the images that excite units most: `python -m vitvis.search`."""

from __future__ import annotations

import sys

from vitvis.config.core import parse
from vitvis.errors import run_main
from vitvis.search.settings import SearchSettings

__all__ = ["main"]

DESCRIPTION = "Find the dataset images that excite each unit most, for all units in one pass."
EXAMPLES = (
    "python -m vitvis.search data=imagefolder:photos units='blocks.*.mlp:*'",
    "python -m vitvis.search model=vit_base_patch16_224 data=imagefolder:/data/imagenet/val out=out/vitb",
    "python -m vitvis.search data=parquet:val.parquet units=blocks.4.mlp:0-31 k=9 fit=out/run",
    "python -m vitvis.search data=wds/shards split='val-{0000..0009}.tar' workers=1",
    "python -m vitvis.search data=folder:images regions=polygons:labels    # which units look at background",
)


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    settings = parse(
        SearchSettings,
        sys.argv[1:] if argv is None else argv,
        prog="python -m vitvis.search",
        description=DESCRIPTION,
        examples=EXAMPLES,
    )
    if not settings.data:
        from vitvis.data.sources import open_source

        open_source(settings.data)  # says what to give, without waiting for torch
    from vitvis.search.engine import search

    out = search(settings)
    if _first_process():
        print(out)
    return 0


def _first_process() -> bool:
    import os

    return os.environ.get("LOCAL_RANK", "0") == "0" and os.environ.get("NODE_RANK", "0") == "0"


if __name__ == "__main__":
    raise SystemExit(run_main(main))
