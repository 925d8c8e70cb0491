"""The `vitvis` console script: `vitvis fit ...` is `python -m vitvis.fit ...`."""

from __future__ import annotations

import importlib
import sys

from vitvis.errors import EXIT_ERROR, nearest, run_main

__all__ = ["COMMANDS", "main"]

#: Command, and what it does.
COMMANDS = {
    "fit": "optimise an image for any unit of any timm model",
    "sites": "list the sites of a model and how many units they have",
    "search": "find the dataset images that excite each unit most",
    "evaluate": "measure how much models lean on background and foreground",
    "concepts": "find words for units, and whether they hold concepts",
    "findings": "check the statements of the work on a ViT and a CNN",
    "sweep": "compare recipes",
    "atlas": "lay runs out as pages to look at in a browser",
}


def main(argv: list[str] | None = None) -> int:
    """Dispatch to the entry point that the first argument names."""
    argv = sys.argv[1:] if argv is None else argv
    commands = available()
    if not argv or argv[0] in ("-h", "--help"):
        print("usage: vitvis COMMAND [--help] [KEY=VALUE]...\n")
        for name, text in commands.items():
            print(f"  {name:<10}{text}")
        return 0
    if argv[0] == "--version":
        from vitvis import __version__

        print(f"vitvis {__version__}")
        return 0
    if argv[0] not in commands:
        print(f"vitvis: no command '{argv[0]}'{nearest(argv[0], commands)} (see vitvis --help)", file=sys.stderr)
        return EXIT_ERROR
    return run_main(importlib.import_module(f"vitvis.{argv[0]}").main, argv[1:])


def available() -> dict[str, str]:
    """Return the commands whose entry points are there."""
    from importlib.util import find_spec

    return {name: text for name, text in COMMANDS.items() if find_spec(f"vitvis.{name}") is not None}


if __name__ == "__main__":
    sys.exit(main())
