"""How far a command is, said in one way by all, on stderr: a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import sys
import time
from html import escape
from typing import Any

__all__ = ["Progress", "clock"]

#: Seconds between two lines where there is no bar.
EVERY_S = 10.0


def clock(seconds: float) -> str:
    """Write a duration: `0:07`, `12:30`, `3:02:11`."""
    whole = max(0, round(seconds))
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


class Progress:
    """Says on stderr how many items are done, how fast, and how much time is left.

    Use as a context manager, or call `close`: a bar has to leave the terminal as it was.

    Args:
        total: Items there are; None where a stream does not say.
        unit: What they are, in the plural.
        style: `bar` rewrites one line, `lines` prints one in ten seconds and one at the end, `none` is silent; `auto`
            asks the terminal, and in a notebook shows a bar below the cell.
        done: Items that an earlier run has done: counted, but not as this one's pace.
        scale: Processes that go at this one's pace; their items are counted in.
    """

    def __init__(self, total: float | None, unit: str, style: str = "auto", *, done: float = 0, scale: int = 1) -> None:
        from rich.console import Console

        self._console = Console(stderr=True, soft_wrap=True, highlight=False)
        self._shell = _notebook() if style == "auto" else None
        self.style = ("bar" if self._console.is_terminal or self._shell else "lines") if style == "auto" else style
        self.total, self.unit, self.scale = total, unit, scale
        self.done = self._first = done
        self._label = self._note = ""
        self._began = self._printed = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def advance(self, items: float, label: str = "", note: str = "") -> None:
        """Count items (parts of them too), and show it when it is time to.

        Args:
            items: How many more are done.
            label: What is worked on, such as the current site.
            note: What else is worth a word, such as `2 skipped`.
        """
        self.update(self.done + items, label, note)

    def update(self, done: float, label: str = "", note: str = "") -> None:
        """Say how many items are done, earlier runs' among them; see `advance`."""
        self.done, self._label, self._note = done, label or self._label, note
        now = time.monotonic()
        if self.style == "none" or now - self._printed < (0.2 if self.style == "bar" else EVERY_S):
            return
        self._show(now)

    def line(self, seconds: float) -> str:
        """Return what is said after some seconds: `blocks.3.mlp: 3,200 of 10,000 images, 132.4 images/s, 0:51 left`."""
        done = self.done * self.scale if self.total is None else min(self.done * self.scale, self.total)
        rate = (self.done - self._first) * self.scale / max(seconds, 1e-9)
        whole = f"{int(done):,} {self.unit}" if self.total is None else f"{int(done):,} of {self.total:,} {self.unit}"
        pace = f"{rate:,.1f} {self.unit}/s" if rate >= 1 else f"{rate * 3600:,.0f} {self.unit}/hour"
        parts = [f"{self._label}: {whole}" if self._label else whole, pace]
        if self.total is not None and rate > 0:
            parts.append(f"{clock((self.total - done) / rate)} left")
        return ", ".join([*parts, self._note] if self._note else parts)

    def close(self) -> None:
        """Say how it ended, and leave the terminal as it was; may be called more than once."""
        if self.style == "lines" and self.done > self._first:
            self._show(time.monotonic())
        if self._bar is not None and self._shell:
            self._bar.update({"text/html": f"<pre>{escape(self.line(time.monotonic() - self._began))}</pre>"}, raw=True)
        elif self._bar is not None:
            self._bar.stop()
        self._bar, self.style = None, "none"

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _show(self, now: float) -> None:
        self._printed = now
        text = self.line(now - self._began)
        if self.style == "lines":
            self._console.print(text, markup=False)
            return
        if self._shell:
            self._show_in_notebook(text)
            return
        if self._bar is None:
            from rich.progress import BarColumn, TextColumn
            from rich.progress import Progress as Bar

            columns = (BarColumn(), TextColumn("{task.description}", markup=False))
            self._bar = Bar(*columns, console=self._console, transient=True)
            self._task = self._bar.add_task("", total=self.total)
            self._bar.start()
        self._bar.update(self._task, completed=self.done * self.scale, description=text)

    def _show_in_notebook(self, text: str) -> None:
        from IPython.display import display

        share = "" if not self.total else f' max="1" value="{min(1.0, self.done * self.scale / self.total):.4f}"'
        shown = {
            "text/html": f'<progress{share} style="width:280px;vertical-align:middle"></progress> {escape(text)}',
            "text/plain": text,
        }
        if self._bar is None:
            self._bar = display(shown, raw=True, display_id=True)
        else:
            self._bar.update(shown, raw=True)


def _notebook() -> bool:
    """Say whether this runs in the kernel of a notebook, Jupyter's or Colab's."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None
