"""The command `search`, from a shell and from Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vitvis.config import Command, Layer, merge, ready
from vitvis.launch.cluster import check_here, launched
from vitvis.search.settings import SearchSettings

if TYPE_CHECKING:
    from vitvis.search.reading import SearchRun

__all__ = ["COMMAND", "main", "run"]


def run(cfg: Layer = None, /, **settings: Any) -> SearchRun | None:
    """Find the images of a dataset that excite units most.

    Args:
        cfg: Settings, a mapping of them, a list of `a.b=c`, or a YAML file.
        settings: Single settings laid over `cfg`: `vitvis.search.run(data="imagefolder:photos", k=9)`.

    Returns:
        The finished search; None on ranks other than 0, and of `shard=` where others are missing.

    Raises:
        VitvisError: settings that can't be followed, or data without an image that could be used.
    """
    asked = ready(merge(SearchSettings, cfg, settings))
    check_here(asked.launch)
    from vitvis.launch.ranks import is_first
    from vitvis.search.engine import search
    from vitvis.search.reading import read_search

    folder = search(asked)
    return read_search(folder) if folder is not None and is_first() else None


def _act(settings: SearchSettings, options: Mapping[str, str]) -> None:
    done = run(settings)
    if done is not None:
        print(done.path)
    elif settings.shard:
        print(f"shard {settings.shard} is done; others are not")


COMMAND = Command(
    name="vitvis.search",
    settings=SearchSettings,
    action=launched("vitvis.search", _act),
    summary="find the dataset images that excite each unit most",
    description="Find the dataset images that excite each unit most, for all units in one pass.",
    examples=(
        "python -m vitvis.search data=imagefolder:photos units='blocks.*.mlp:*'",
        "python -m vitvis.search model=vit_base_patch16_224 data=imagefolder:/data/imagenet/val out=out/vitb",
        "python -m vitvis.search data=parquet:val.parquet units=blocks.4.mlp:0-31 k=9 fit=out/run",
        "python -m vitvis.search data=wds:shards split='val-{0000..0009}.tar' workers=1",
        "python -m vitvis.search data=folder:images regions=polygons:labels    # which units look at background",
    ),
)
main = COMMAND.main
