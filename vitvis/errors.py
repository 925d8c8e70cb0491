"""Errors for people: one line that says what, where, and what to do about it."""

from __future__ import annotations

import difflib
import errno
import sys
from collections.abc import Callable, Iterable

__all__ = ["VitvisError", "nearest", "run_main"]

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130

#: What the machine, not the program, got wrong: worth one line, not a traceback.
_MACHINE_ERRORS = {
    errno.ENOSPC: "no space is left on the disk; free some and run the same command again",
    errno.EDQUOT: "the disk quota is used up; free some space and run the same command again",
    errno.EACCES: "permission denied; choose another folder or change its permissions",
    errno.EPERM: "operation not permitted; choose another folder or change its permissions",
    errno.EROFS: "the file system is read-only; choose another folder",
}


class VitvisError(Exception):
    """A mistake that the user can mend. `str(error)` is one line: what, where, what to do.

    Of a message that quotes something very long (a number of 5,000 digits), the start and the end are kept.
    """

    def __init__(self, message: str) -> None:
        line = " ".join(str(message).split())
        super().__init__(line if len(line) <= 1200 else f"{line[:600]} ... {line[-400:]}")


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return `"; did you mean 'x'?"` for the choice closest in spelling to `word`, or `""` when none is close."""
    matches = difflib.get_close_matches(str(word), [str(choice) for choice in choices], n=1, cutoff=0.5)
    return f"; did you mean '{matches[0]}'?" if matches else ""


def explain_os_error(error: OSError) -> str | None:
    """Return one line for an `OSError` that is the machine's fault (full or read-only disk), or None."""
    reason = _MACHINE_ERRORS.get(error.errno or 0)
    if reason is None:
        return None
    return f"can't write {error.filename}: {reason}" if error.filename else f"can't write: {reason}"


def run_main(main: Callable[[list[str]], int | None], argv: list[str] | None = None) -> int:
    """Run an entry point and turn what goes wrong into an exit status.

    Args:
        main: Takes the arguments after the program's name; returns an exit status or None for 0.
        argv: Those arguments; `sys.argv[1:]` when None.

    Returns:
        What `main` returned; 2 after a `VitvisError` or a disk that can't be written (one line on stderr);
        130 after Ctrl-C.
    """
    try:
        return main(sys.argv[1:] if argv is None else argv) or 0
    except VitvisError as error:
        message = str(error)
    except KeyboardInterrupt:
        print("vitvis: interrupted; run the same command again to go on from here", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # `vitvis ... | head`: the reader has gone, which is no error of ours
        sys.stderr.close()
        return 0
    except OSError as error:
        explained = explain_os_error(error)
        if explained is None:
            raise
        message = explained
    print(f"vitvis: {message}", file=sys.stderr)
    return EXIT_ERROR
