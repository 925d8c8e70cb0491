"""How a process ends when it is told to: soon, with one line, with the status that schedulers know.

Python runs a signal's handler between two of its own instructions, on the main thread. A main thread that waits inside
a library (for other ranks, for a kernel) never comes to it, so a second thread listens at the descriptor that the C
handler writes to at once, and ends the process if it has not ended by itself a few seconds later.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

__all__ = ["Stopped", "ending_in_order", "is_first_process", "stop_with", "stoppable", "unbroken_streams"]

#: Seconds to unwind in (writing what is finished, ending children) before the process is ended as it is.
GRACE_S = 10.0
#: Environment variable with the process that started this one, if that was a command of vitvis too.
STARTER = "VITVIS_STARTER"
_NUMBERS = (signal.SIGINT, signal.SIGTERM)
#: What another thread has found out and ends the command for (`stop_with`); one command a process.
_reasons: list[str] = []


class Stopped(BaseException):
    """A signal has asked the process to end.

    No KeyboardInterrupt: Lightning turns that one into `exit(1)`.

    Attributes:
        number: The signal.
        several: Whether the process was one of several ranks when the signal came.
        reason: What to say, when the process has stopped itself (`stop_with`).
    """

    def __init__(self, number: int, several: bool = False) -> None:
        super().__init__(signal.Signals(number).name)
        self.number, self.several = number, several
        self.reason = _reasons[0] if _reasons else ""

    @property
    def status(self) -> int:
        """The exit status: 130 after Ctrl-C, 143 after SIGTERM, 1 where the process has stopped itself."""
        return 1 if self.reason else 128 + self.number

    @property
    def line(self) -> str:
        """What to say."""
        what = {signal.SIGINT: "interrupted", signal.SIGTERM: "told to end (SIGTERM)"}.get(self.number, str(self))  # type: ignore[call-overload]
        return f"{self.reason or what}; run the same command again to go on from here"


def stop_with(reason: str) -> None:
    """End the command of this process from any thread: status 1, and `reason` in its one line."""
    _reasons.append(reason)
    os.kill(os.getpid(), signal.SIGTERM)


def is_first_process() -> bool:
    """Say whether this process is the one of several ranks that speaks."""
    return (
        os.environ.get("LOCAL_RANK", "0") == "0"
        and os.environ.get("NODE_RANK", os.environ.get("GROUP_RANK", "0")) == "0"
    )


def _is_one_of_several() -> bool:
    """Say whether this process is a rank of several; Lightning, torchrun and SLURM's tasks all note it so."""
    return os.environ.get("WORLD_SIZE", "1") not in ("", "1")


@contextmanager
def ending_in_order() -> Iterator[None]:
    """Let a run that a caller's program has started end as a command does; inside a command this changes nothing.

    Of several ranks the first says one line, and all end with the status of a command (SystemExit). A process alone
    (a notebook, a script) gets the KeyboardInterrupt that Python's users expect from Ctrl-C, is given all the time it
    needs for it, and may go on afterwards.
    """
    if isinstance(getattr(signal.getsignal(signal.SIGINT), "__self__", None), _Handler):
        yield
        return
    try:
        with stoppable(hard=False):
            yield
    except Stopped as stopped:
        if stopped.number == signal.SIGINT and not stopped.reason and not stopped.several:
            raise KeyboardInterrupt(stopped.line) from None
        if is_first_process():
            print(f"vitvis: {stopped.line}", file=sys.stderr)
        raise SystemExit(stopped.status) from None


class _Handler:
    """Answers the signals of `stoppable`.

    Args:
        hard: Whether a second signal, or one that is not heard, ends the process as it is; of several ranks it does
            so in any case.

    Attributes:
        numbers: Signals that came.
        several: Whether the process was one of several ranks then; Lightning forgets it as it unwinds.
    """

    def __init__(self, hard: bool) -> None:
        self.owner = os.getpid()
        self.numbers: list[int] = []
        self.several = False
        self._hard = hard

    @property
    def is_hard(self) -> bool:
        """Whether the process may be ended as it is; of several ranks it may."""
        return self._hard or self.several or _is_one_of_several()

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Raise `Stopped`."""
        if os.getpid() != self.owner:
            os._exit(128 + number)
        self.numbers.append(number)
        self.several = self.several or _is_one_of_several()
        if len(self.numbers) > 1 and self.is_hard:
            _end(number)
        raise Stopped(number, self.several)

    def watch(self, reader: int, ended: threading.Event) -> None:
        """End the process when a signal has come and the block has not ended by itself."""
        while not ended.is_set():
            for number in os.read(reader, 64):
                if number in _NUMBERS and self.is_hard and not ended.wait(GRACE_S):
                    _end(number)


@contextmanager
def stoppable(*, hard: bool = True) -> Iterator[None]:
    """Turn SIGINT and SIGTERM into `Stopped` within the block, and into the end of the process if that is not heard.

    A second signal ends the process at once. Forked workers that a signal reaches end silently. A process that was
    started by another command of vitvis (a rank, a trial) ends with it. Does nothing outside of the main thread, nor on
    Windows, which has no such signals.

    Args:
        hard: Whether a process that does not hear is ended, and one that is told twice.
    """
    if threading.current_thread() is not threading.main_thread() or os.name == "nt":
        yield
        return
    handler = _Handler(hard)
    starter = os.environ.get(STARTER)
    if starter is not None and starter == str(os.getppid()):
        threading.Thread(target=_end_with, args=(int(starter),), daemon=True, name="vitvis-parent").start()
    os.environ[STARTER] = str(handler.owner)
    _reasons.clear()
    before = {number: signal.signal(number, handler.handle) for number in _NUMBERS}
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    ended = threading.Event()
    watch = threading.Thread(target=handler.watch, args=(reader, ended), daemon=True, name="vitvis-signals")
    watch.start()
    try:
        yield
    except Stopped:
        raise
    except BaseException:
        if (
            handler.numbers
        ):  # the signal came in the middle of something that made another error of it, such as an import
            raise Stopped(handler.numbers[0], handler.several) from None
        raise
    finally:
        ended.set()
        signal.set_wakeup_fd(wakeup)
        for number, other in before.items():
            signal.signal(number, other)
        os.write(writer, b"\0")
        watch.join(1)
        os.close(writer)
        os.close(reader)
        if starter is None:
            os.environ.pop(STARTER, None)
        else:
            os.environ[STARTER] = starter


def _end(number: int) -> None:
    """End the process as it is; what it has written is whole, whenever that happens."""
    stopped = Stopped(number)
    if is_first_process():
        with suppress(Exception):
            os.write(2, f"vitvis: {stopped.line}\n".encode(errors="backslashreplace"))
    os._exit(stopped.status)


def _end_with(parent: int) -> None:
    """End this process when the one that started it is gone, however that went."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(128 + signal.SIGTERM)


class _Stream:
    """A text stream that nobody may be reading any more: what is written to it then goes nowhere, and that is all.

    Characters that its encoding lacks are written as escapes.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        with suppress(AttributeError, ValueError, OSError):
            stream.reconfigure(errors="backslashreplace")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text, or nothing where nobody reads any more."""
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self._mute()
            return len(text)

    def flush(self) -> None:
        """Hand on what is buffered."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._mute()

    def writelines(self, lines: Any) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def _mute(self) -> None:
        """Let the descriptor lead nowhere, for what is buffered, for other libraries, and for children."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        with suppress(OSError, ValueError):
            os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)


@contextmanager
def unbroken_streams() -> Iterator[None]:
    """Let the work go on within the block when whoever reads stdout or stderr has gone (`vitvis fit | head`)."""
    out, err = sys.stdout, sys.stderr
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the shell (`>&-`); the next file to be opened would get its number
            setattr(sys, name, open(os.devnull, "w"))
        else:
            setattr(sys, name, _Stream(stream))
    try:
        yield
        for stream in (sys.stdout, sys.stderr):
            with suppress(ValueError):
                stream.flush()
    finally:
        sys.stdout, sys.stderr = out, err
