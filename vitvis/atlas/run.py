"""The command `atlas`, from a shell and from Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vitvis.atlas.publish import parse_place, publish
from vitvis.atlas.settings import AtlasSettings
from vitvis.config import Command, Layer, Option, merge, ready
from vitvis.errors import VitvisError

if TYPE_CHECKING:
    from vitvis.atlas.build import Atlas

__all__ = ["COMMAND", "main", "run"]


def run(cfg: Layer = None, /, **settings: Any) -> Atlas:
    """Write a static site from run folders, and publish it where that is asked for.

    Args:
        cfg: Settings, a mapping of them, a list of `a.b=c`, or a YAML file.
        settings: Single settings laid over `cfg`: `vitvis.atlas.run(runs=["out/fit", "out/search"], out="site")`.

    Returns:
        Where the page is, and what is on it.

    Raises:
        VitvisError: settings that can't be followed, a folder that is no run, or a place that takes no atlas.
    """
    asked = ready(merge(AtlasSettings, cfg, settings))
    done = _write(asked)
    if asked.publish is not None:
        publish(done.path.parent, parse_place(asked.publish))
    return done


def _write(asked: AtlasSettings) -> Atlas:
    from vitvis.atlas.build import Card, write_atlas

    if asked.map and asked.eye != AtlasSettings.eye:
        from vitvis.backbones.loading import check_name

        check_name(asked.eye)
    place = None if asked.publish is None else parse_place(asked.publish)
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
        photos=asked.publish is None if asked.photos is None else asked.photos,
        card=None if place is None else Card(place.kind, asked.photo_license),
    )


def _act(settings: AtlasSettings, options: Mapping[str, str]) -> None:
    if "--dry-run" in options and settings.publish is None:
        raise VitvisError("--dry-run: says what publish= would do; give publish=FOLDER or publish=hf:USER/NAME")
    if settings.port != AtlasSettings.port and "--serve" not in options:
        raise VitvisError(f"port={settings.port}: is that of --serve, which is not asked for")
    done = _write(settings)
    if done.left_out:
        print(f"left out {done.left_out} full-size pictures (max_mb={settings.max_mb:g}); their sprites are there")
    if done.photos_left_out:
        print(f"left out {done.photos_left_out} photos (max_mb={settings.max_mb:g}); their values are there")
    print(f"{done.path}  {done.units} units, {done.bytes / 1e6:.1f} MB")
    if settings.publish is not None:
        print(publish(done.path.parent, parse_place(settings.publish), dry_run="--dry-run" in options))
    if "--serve" in options:
        from vitvis.atlas.serve import HOST, make_server

        with make_server(done.path.parent, settings.port) as server:
            print(f"http://{HOST}:{server.server_port}/  until Ctrl-C", flush=True)
            server.serve_forever()


COMMAND = Command(
    name="vitvis.atlas",
    settings=AtlasSettings,
    action=_act,
    summary="lay runs out as pages to look at in a browser",
    description="Write a static site from run folders: every unit as a tile, with its own page. Opens by double-click.",
    examples=(
        "python -m vitvis.atlas out/fit-1 out/search-1",
        "python -m vitvis.atlas runs=[out/fit-1,out/evaluate-1] out=site max_mb=200",
        "python -m vitvis.atlas out/fit-1 --serve",
        "python -m vitvis.atlas out/fit-1 publish=hf:USER/NAME --dry-run",
    ),
    words="runs",
    options={
        "--serve": Option("serve the atlas on this machine, at 127.0.0.1:PORT, until Ctrl-C"),
        "--dry-run": Option("with publish=: write the atlas, say what would be published, and stop"),
    },
)
main = COMMAND.main
