"""Look at everything in a browser, with no server: `python -m vitvis.atlas`."""

from __future__ import annotations

from vitvis.atlas.settings import AtlasSettings
from vitvis.config.core import parse
from vitvis.errors import VitvisError, run_main

__all__ = ["main"]

DESCRIPTION = "Write a static site from run folders: every unit as a tile, with its own page. Opens by double-click."
EXAMPLES = (
    "python -m vitvis.atlas out/fit-1 out/search-1",
    "python -m vitvis.atlas runs=[out/fit-1,out/evaluate-1] out=site max_mb=200",
)


def main(argv: list[str]) -> int:
    """Parse, write the site, print where it is and how large."""
    settings = parse(AtlasSettings, _with_folders(argv), prog="python -m vitvis.atlas", description=DESCRIPTION,
                     examples=EXAMPLES)  # fmt: skip
    if not settings.runs:
        raise VitvisError("give run folders: python -m vitvis.atlas out/RUN ...")
    from vitvis.atlas import write_atlas

    done = write_atlas(
        settings.runs,
        settings.out,
        title=settings.title,
        max_mb=settings.max_mb,
        tile=settings.tile,
        exemplars=settings.exemplars,
        paths=settings.paths,
    )
    if done.left_out:
        print(f"left out {done.left_out} full-size pictures (max_mb={settings.max_mb:g}); their sprites are there")
    if done.photos_left_out:
        print(f"left out {done.photos_left_out} photos (max_mb={settings.max_mb:g}); their values are there")
    print(f"{done.path}  {done.units} units, {done.bytes / 1e6:.1f} MB")
    return 0


def _with_folders(argv: list[str]) -> list[str]:
    """Turn plain arguments into `runs=[...]`."""
    folders: list[str] = []
    rest: list[str] = []
    for place, argument in enumerate(argv):
        value_of_option = place > 0 and argv[place - 1].startswith("--") and "=" not in argv[place - 1]
        if argument.startswith("-") or "=" in argument or value_of_option:
            rest.append(argument)
        else:
            folders.append(argument)
    if not folders:
        return rest
    import json

    return [*rest, f"runs={json.dumps(folders)}"]


if __name__ == "__main__":
    raise SystemExit(run_main(main))
