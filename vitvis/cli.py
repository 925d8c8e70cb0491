"""The `vitvis` console script: `vitvis fit ...` is `python -m vitvis.fit ...`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from vitvis.config.command import Command
from vitvis.errors import EXIT_ERROR, nearest

__all__ = ["COMMANDS", "find_command", "main"]

#: The commands, each a module that holds its `COMMAND`.
COMMANDS = (
    "fit",
    "sites",
    "search",
    "dictionary",
    "evaluate",
    "judge",
    "concepts",
    "findings",
    "sweep",
    "atlas",
    "runs",
    "bundled.train",
    "bundled.evaluate",
    "bundled.export",
)


def find_command(name: str) -> Command:
    """Return the object of one of `COMMANDS`."""
    return importlib.import_module(f"vitvis.{name}").COMMAND


def main(argv: Sequence[str] | None = None) -> int:
    """Hand the command line to the command that its first word names."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help"):
        print("usage: vitvis COMMAND [--help] [KEY=VALUE]...\n")
        for name in COMMANDS:
            print(f"  {name:<18}{find_command(name).summary}")
        return 0
    if argv[0] == "--version":
        from vitvis import __version__

        print(f"vitvis {__version__}")
        return 0
    if argv[0] not in COMMANDS:
        print(f"vitvis: no command '{argv[0]}'{nearest(argv[0], COMMANDS)} (see vitvis --help)", file=sys.stderr)
        return EXIT_ERROR
    return find_command(argv[0]).main(argv[1:])


if __name__ == "__main__":
    sys.exit(main())
