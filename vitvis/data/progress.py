"""How far a search has come: images, images/s, time left, on one line of a terminal or a line now and then."""

from __future__ import annotations

import sys
import time
from typing import TextIO

__all__ = ["Progress", "clock"]


def clock(seconds: float) -> str:
    """Write a duration: `0:07`, `12:30`, `3:02:11`."""
    whole = max(0, round(seconds))
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


class Progress:
    """Prints progress of images to stderr.

    Args:
        total: Images there are; None where a stream does not say.
        done: Images done by an earlier run.
        style: `bar` rewrites one line, `lines` prints one in ten seconds, `none` is silent; `auto` asks the terminal.
        scale: Processes that go at this one's pace; their images are counted in.
    """

    def __init__(
        self, total: int | None, done: int = 0, style: str = "auto", scale: int = 1, file: TextIO | None = None
    ) -> None:
        self.file = file or sys.stderr
        self.style = ("bar" if self.file.isatty() else "lines") if style == "auto" else style
        self.total, self.done, self.scale, self.first = total, done, scale, done
        self.began = self.printed = time.perf_counter()

    def update(self, images: int, skipped: int = 0) -> None:
        """Count images and print if it is time to."""
        self.done += images
        now = time.perf_counter()
        if self.style == "none" or now - self.printed < (0.2 if self.style == "bar" else 10):
            return
        self.printed = now
        self._print(self.line(now - self.began, skipped), end="" if self.style == "bar" else "\n")

    def line(self, seconds: float, skipped: int = 0) -> str:
        """Return the line: `3,200 of 10,000 images, 132.4 images/s, 0:51 left, 2 skipped`."""
        done = self.done * self.scale
        rate = (self.done - self.first) * self.scale / max(seconds, 1e-9)
        parts = [f"{done:,} images" if self.total is None else f"{min(done, self.total):,} of {self.total:,} images"]
        parts.append(f"{rate:,.1f} images/s")
        if self.total is not None and rate > 0:
            parts.append(f"{clock(max(0, self.total - done) / rate)} left")
        return ", ".join(parts + ([f"{skipped:,} skipped"] if skipped else []))

    def finish(self) -> None:
        """End the line of a bar."""
        if self.style == "bar" and self.printed > self.began:
            self._print("", end="\n")

    def _print(self, text: str, end: str) -> None:
        start = "\r\x1b[K" if self.style == "bar" and text else ""
        print(f"{start}{text}", end=end, file=self.file, flush=True)
