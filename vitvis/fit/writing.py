"""Files are made beside the work: encoding and writing what a chunk left runs while the next chunk does."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

__all__ = ["Background"]


class Background:
    """Runs jobs one after the other on one thread, in the order they came.

    An error of a job is raised by the next call of `submit` or `join`, whichever comes first; jobs that were handed in
    after a failed one are not run. At most `waiting` jobs are held back, which bounds memory where a disk is slow.

    Args:
        waiting: Jobs that may wait or run; `submit` blocks while there are as many.
    """

    def __init__(self, waiting: int = 2) -> None:
        self.waiting = waiting
        self._jobs: deque[Future[None]] = deque()
        self._pool: ThreadPoolExecutor | None = None
        self._failed = False

    def submit(self, job: Callable[[], None]) -> None:
        """Run `job` soon; raise the error of an earlier one."""
        self._settle(self.waiting - 1)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="vitvis-write")
        self._jobs.append(self._pool.submit(self._run, job))

    def join(self) -> None:
        """Wait until everything is done, end the thread, and raise the first error."""
        try:
            self._settle(0)
        finally:
            self._end()

    def _run(self, job: Callable[[], None]) -> None:
        if self._failed:
            return
        try:
            job()
        except BaseException:
            self._failed = True
            raise

    def _settle(self, left: int) -> None:
        """Wait until at most `left` jobs are there, and look at all that have ended."""
        while self._jobs and (len(self._jobs) > left or self._jobs[0].done()):
            job = self._jobs.popleft()
            error = job.exception()
            if error is not None:
                self._end()
                raise error

    def _end(self) -> None:
        for job in self._jobs:
            job.cancel()
        self._jobs.clear()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
        self._failed = False
