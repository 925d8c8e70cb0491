"""Processes beside this one, forked: they have the model already, and share the memory of its weights."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from vitvis.errors import VitvisError

__all__ = ["may_fork", "side_by_side"]

T = TypeVar("T")


def may_fork() -> bool:
    """Say whether children of this process could compute as it does; asked before torch is imported.

    Threads of torch's own, which the first operation on several cores makes, do not live on in a child and are waited
    for all the same. So the process has to be at its beginning, and to stay on one thread until it has forked.
    """
    return "torch" not in sys.modules and hasattr(os, "fork") and sys.platform.startswith("linux")


def side_by_side(count: int, work: Callable[[int], T]) -> tuple[T, list[str]]:
    """Do `work(0)` here and `work(1)` to `work(count - 1)` in children at the same time.

    Children end with this process, however that ends. What goes wrong in one is told on stderr there.

    Returns:
        What `work(0)` returned, and a line for each child that has not ended well.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    children: list[int] = []
    try:
        for index in range(1, count):
            pid = os.fork()
            if not pid:
                _be_child(lambda index=index: work(index))  # type: ignore[misc]
            children.append(pid)
        mine = work(0)
        troubles = []
        while children:
            _, status = os.waitpid(children[0], 0)
            code, pid = os.waitstatus_to_exitcode(status), children.pop(0)
            if code:
                how = f"by signal {-code}" if code < 0 else f"with status {code}"
                troubles.append(f"process {pid} of this run ended {how}")
        return mine, troubles
    finally:
        for pid in children:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def _be_child(work: Callable[[], object]) -> None:
    """Do the work and end this process; a signal ends it at once, and so does the end of the parent."""
    status = 70
    try:
        signal.set_wakeup_fd(-1)  # it leads to the parent
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        threading.Thread(target=_end_with, args=(os.getppid(),), name="vitvis-parent", daemon=True).start()
        work()
        status = 0
    except VitvisError as error:
        status = 2
        print(f"vitvis: {error}", file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        os._exit(status)


def _end_with(parent: int) -> None:
    import time

    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(128 + signal.SIGTERM)
