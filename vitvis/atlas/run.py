"""The command `atlas`, from a shell and from Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vitvis.atlas.settings import AtlasSettings
from vitvis.config import Command, Layer, merge, ready

if TYPE_CHECKING:
    from vitvis.atlas.build import Atlas

__all__ = ["COMMAND", "main", "run"]


def run(cfg: Layer = None, /, **settings: Any) -> Atlas:
    """Write a static site from run folders.

    Args:
        cfg: Settings, a mapping of them, a list of `a.b=c`, or a YAML file.
        settings: Single settings laid over `cfg`: `vitvis.atlas.run(runs=["out/fit", "out/search"], out="site")`.

    Returns:
        Where the page is, and what is on it.

    Raises:
        VitvisError: settings that can't be followed, or a folder that is no run.
    """
    asked = ready(merge(AtlasSettings, cfg, settings))
    from vitvis.atlas.build import write_atlas

    return write_atlas(
        asked.runs,
        asked.out,
        title=asked.title,
        max_mb=asked.max_mb,
        tile=asked.tile,
        exemplars=asked.exemplars,
        paths=asked.paths,
        eye=asked.eye if asked.map else None,
        seed=asked.seed,
    )


def _act(settings: AtlasSettings, options: Mapping[str, str]) -> None:
    done = run(settings)
    if done.left_out:
        print(f"left out {done.left_out} full-size pictures (max_mb={settings.max_mb:g}); their sprites are there")
    if done.photos_left_out:
        print(f"left out {done.photos_left_out} photos (max_mb={settings.max_mb:g}); their values are there")
    print(f"{done.path}  {done.units} units, {done.bytes / 1e6:.1f} MB")


COMMAND = Command(
    name="vitvis.atlas",
    settings=AtlasSettings,
    action=_act,
    summary="lay runs out as pages to look at in a browser",
    description="Write a static site from run folders: every unit as a tile, with its own page. Opens by double-click.",
    examples=(
        "python -m vitvis.atlas out/fit-1 out/search-1",
        "python -m vitvis.atlas runs=[out/fit-1,out/evaluate-1] out=site max_mb=200",
    ),
    words="runs",
)
main = COMMAND.main
