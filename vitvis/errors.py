"""Errors for people: one line that says what, where, and what to do about it."""

from __future__ import annotations

import difflib
import errno
import re
import sys
from collections.abc import Callable, Iterable

from vitvis.signals import Stopped, is_first_process, stoppable, unbroken_streams

__all__ = ["VitvisError", "nearest", "run_main", "sentence"]

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130

#: What the machine, not the program, got wrong: worth one line, not a traceback.
_MACHINE_ERRORS = {
    errno.ENOSPC: "no space is left on the disk; free some and run the same command again",
    errno.EFBIG: "the file is larger than may be written (ulimit -f); raise the limit and run the same command again",
    errno.EDQUOT: "the disk quota is used up; free some space and run the same command again",
    errno.EACCES: "permission denied; choose another folder or change its permissions",
    errno.EPERM: "operation not permitted; choose another folder or change its permissions",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.ENOTDIR: "a part of the path is a file; choose another folder",
    errno.EIO: "the disk or network reports an error; run the same command again",
    errno.ESTALE: "the network file system has lost the file; run the same command again",
    errno.EMFILE: "too many files are open; raise the limit (ulimit -n) or ask for fewer workers",
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


def sentence(error: BaseException | str, limit: int = 160) -> str:
    """Return what another library's error says as one short sentence, for the brackets of ours.

    Args:
        error: The error; its kind is named when it has no words.
        limit: Longest text, cut between words.
    """
    text = " ".join(str(error).split())
    if not text:
        return type(error).__name__ if isinstance(error, BaseException) else "no reason given"
    first = re.split(r"(?<=[a-z0-9)'\"])[.!](?=\s+[A-Z(])", text, maxsplit=1)[0].rstrip(".! ")
    if len(first) <= limit:
        return first
    cut = first[: limit + 1].rsplit(" ", 1)[0] if " " in first[:limit] else first[:limit]
    return cut.rstrip(",;:. ") + " ..."


def explain_os_error(error: OSError) -> str | None:
    """Return one line for an `OSError` that is the machine's fault (full or read-only disk), or None."""
    reason = _MACHINE_ERRORS.get(error.errno or 0)
    if reason is None:
        return None
    return f"can't write {error.filename}: {reason}" if error.filename else f"can't write: {reason}"


def run_main(main: Callable[[list[str]], int | None], argv: list[str] | None = None) -> int:
    """Run an entry point and turn what goes wrong into an exit status.

    A reader of stdout or stderr that goes away (`| head`) changes nothing about the work or the status.

    Args:
        main: Takes the arguments after the program's name; returns an exit status or None for 0.
        argv: Those arguments; `sys.argv[1:]` when None.

    Returns:
        What `main` returned; 2 after a `VitvisError` or a disk that can't be written; 130 after Ctrl-C, 143 after
        SIGTERM, both within seconds: one line on stderr, of the first of several ranks.
    """
    with unbroken_streams():
        try:
            with stoppable():
                return main(sys.argv[1:] if argv is None else argv) or 0
        except Stopped as stopped:
            status, message = stopped.status, stopped.line
        except VitvisError as error:
            status, message = EXIT_ERROR, str(error)
        except KeyboardInterrupt:  # outside of the main thread, where no handler of ours can be
            status, message = EXIT_INTERRUPTED, "interrupted; run the same command again to go on from here"
        except OSError as error:
            explained = explain_os_error(error)
            if explained is None:
                raise
            status, message = EXIT_ERROR, explained
        if status == EXIT_ERROR or is_first_process():
            print(f"vitvis: {message}", file=sys.stderr)
        return status
