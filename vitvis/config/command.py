"""One object a command: its `--help`, its usage line, how it reads a command line, and what it then does."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from vitvis.config.arguments import sort_arguments
from vitvis.config.core import merge, to_yaml
from vitvis.config.fields import iterate_settings, ready
from vitvis.errors import VitvisError, run_main

__all__ = ["Command", "Option"]

S = TypeVar("S")


@dataclass(frozen=True)
class Option:
    """A word of a command line that is no setting, such as `--dry-run`.

    Attributes:
        help: One line for `--help`.
        value: What it takes, such as `FILE`; "" for a flag.
        layer: Returns settings that lie below everything else, from the option's value.
        words: Setting that takes the plain words where this option is there, instead of the command's own.
    """

    help: str
    value: str = ""
    layer: Callable[[str], Any] | None = None
    words: str = ""


#: Options of every command.
COMMON = {
    "--config": Option("a YAML file of settings; may be repeated, later files and overrides win", "FILE"),
    "--print-config": Option("print the resolved settings as YAML and stop; --config loads them again"),
    "--version": Option("print the version and stop"),
    "--help": Option("print this and stop; also -h"),
}


@dataclass(frozen=True, kw_only=True)
class Command(Generic[S]):
    """A command of vitvis: it drives `vitvis NAME`, `python -m vitvis.NAME`, `--help`, and the tests of the pages.

    Attributes:
        name: Its module, such as `vitvis.fit`.
        settings: Dataclass of its settings.
        action: What it does with its settings and the options that were given (value by name, such as
            `{"--dry-run": ""}`): calls the room's `run`, prints what that made, returns an exit status or None for 0.
        summary: What it does in a few words, for `vitvis --help`.
        description: The same in a sentence or two, for its own `--help`.
        examples: Command lines, for `--help`.
        words: Setting that takes plain words, such as the run folders of `vitvis.atlas`.
        rest: Setting that takes what follows `--`.
        options: Its own options by name.
    """

    name: str
    settings: type[S]
    action: Callable[[S, Mapping[str, str]], int | None]
    summary: str
    description: str
    examples: Sequence[str] = ()
    words: str = ""
    rest: str = ""
    options: Mapping[str, Option] = field(default_factory=dict)

    @property
    def program(self) -> str:
        """How it is started."""
        return f"python -m {self.name}"

    @property
    def usage(self) -> str:
        """The usage line."""
        words = f" [{self.words.upper()}]" if self.words else ""
        rest = f" [-- {self.rest.upper()}]" if self.rest else ""
        return f"{self.program}{words} [--config FILE]... [KEY=VALUE]...{rest}"

    def main(self, argv: Sequence[str] | None = None) -> int:
        """Do what a command line says (`sys.argv` when None) and return an exit status.

        A mistake is one line on stderr and status 2; `--help`, `--print-config` and `--version` print, and are 0.
        """
        return run_main(self._main, list(sys.argv[1:] if argv is None else argv))

    def _main(self, argv: list[str]) -> int:
        if {"-h", "--help"} & set(argv):
            print(self.help())
        elif "--version" in argv:
            from vitvis import __version__

            print(f"vitvis {__version__}")
        else:
            settings, options = self.read(argv)
            if "--print-config" not in options:
                ready(settings)
                os.environ["MPLBACKEND"] = "agg"  # commands draw into files; a notebook's own can't be had in here
                logging.basicConfig(format="vitvis: %(message)s", level=logging.WARNING)
                with _plain_warnings():
                    return self.action(settings, options) or 0
            print(to_yaml(settings), end="")
        return 0

    def help(self) -> str:
        """Return what `--help` prints."""
        from vitvis.config.help import format_help

        options = {f"{name} {option.value}".strip(): option.help for name, option in {**self.options, **COMMON}.items()}
        return format_help(self.settings, self.usage, self.description, self.examples, options)

    def read(self, argv: Sequence[str]) -> tuple[S, dict[str, str]]:
        """Read a command line into settings, and options by name; nothing is printed or done.

        What options bring lies lowest, files of `--config` above it, overrides above files; the last one wins.

        Raises:
            VitvisError: a word that can't be read, an unknown setting, a value that is out of its range.
        """
        options = COMMON | dict(self.options)
        types = {name: hint for name, _, hint in iterate_settings(self.settings)}
        takes = {name: bool(option.value) and not option.words for name, option in options.items()}
        found = sort_arguments(argv, types, takes, takes_words=bool(self.words))
        given = [options[name] for name in found.options]
        taker = next((option.words for option in given if option.words), self.words)
        plain: dict[str, Any] = {}
        if found.rest is not None and self.rest:
            plain[self.rest] = found.rest
        elif found.rest is not None:  # `-- FOLDER`: no option, whatever it looks like
            found.words += found.rest
        if found.words:
            if not taker:
                raise VitvisError(f"can't read '{found.words[0]}': {self.program} takes settings only, key=value")
            one = types[taker] in (str, str | None)
            if one and len(found.words) > 1:
                raise VitvisError(f"one {taker} at a time, not {len(found.words)}: {' '.join(found.words)}")
            plain[taker] = found.words[0] if one else found.words
        layers = [
            option.layer(found.options[name])
            for name, option in options.items()
            if name in found.options and option.layer is not None
        ]
        return merge(self.settings, *layers, *map(Path, found.files), found.overrides, plain), found.options


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Show warnings of ours as a line for people, and not with the line of code that they come from."""
    before, own = warnings.formatwarning, str(Path(__file__).resolve().parents[1])

    def plain(message: Any, category: Any, filename: str, lineno: int, line: str | None = None) -> str:
        ours = filename.startswith(own)
        return f"vitvis: {message}\n" if ours else before(message, category, filename, lineno, line)

    warnings.formatwarning = plain
    try:
        yield
    finally:
        warnings.formatwarning = before
