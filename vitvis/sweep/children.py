"""Child processes: one fit each, in a process group of its own, on the device it is given."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vitvis.errors import VitvisError
from vitvis.launch.cores import SHARE, count_cores

__all__ = ["Child", "Slot", "find_slots", "last_lines", "stop_all", "stop_orphan"]

#: Less than `vitvis.signals` gives the sweep itself.
_GRACE_S = 7.0


@dataclass(frozen=True)
class Slot:
    """A place where one child at a time runs.

    Attributes:
        name: `cpu` or the index of a GPU.
        environment: Variables laid over this process's own.
    """

    name: str
    environment: dict[str, str]


def find_slots(devices: str = "auto", workers: int | None = None) -> list[Slot]:
    """Return the places for children.

    Args:
        devices: `auto` (every visible GPU, else the CPU), `cpu`, or indices of GPUs: `0,2`.
        workers: Children at once; one a GPU, or on the CPU one a core and at most four, when None. Several on the
            CPU divide its cores.

    Raises:
        VitvisError: `devices` can't be read, or isn't there.
    """
    words = [word.strip() for word in str(devices).strip("[]").split(",") if word.strip()]
    gpus = _visible_gpus() if words == ["auto"] else [] if words == ["cpu"] else words
    if any(not gpu.lower().startswith(("gpu-", "mig-")) and not gpu.isdigit() for gpu in gpus) or not words:
        raise VitvisError(f"devices={devices}: write auto, cpu, or indices of GPUs such as 0,1")
    visible = [] if words == ["auto"] else _visible_gpus()
    if gpus and all(name.isdigit() for name in visible):  # else a scheduler has named them otherwise
        for gpu in gpus:
            if gpu.isdigit() and words != ["auto"] and gpu not in visible:
                there = f"has {', '.join(visible)}" if visible else "has none that is visible"
                raise VitvisError(f"devices={devices}: no GPU {gpu}; this machine {there}")
    if gpus:
        return [
            Slot(gpus[i % len(gpus)], {"CUDA_VISIBLE_DEVICES": gpus[i % len(gpus)]})
            for i in range(workers or len(gpus))
        ]
    cores = count_cores()
    count = workers or min(cores, 4)
    names = (SHARE, "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    share = dict.fromkeys(names, str(max(1, cores // count)))  # a fit would start a process on each core that it counts
    return [Slot("cpu", {"CUDA_VISIBLE_DEVICES": "", **share}) for _ in range(count)]


def _visible_gpus() -> list[str]:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [word for word in visible.split(",") if word.strip() not in ("", "-1")]
    if shutil.which("nvidia-smi") is None:  # asking torch would cost its import
        return []
    listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    return [str(index) for index, _ in enumerate(x for x in listing.stdout.splitlines() if x.startswith("GPU "))]


class Child:
    """One running command. Its end arrives in `events` as `(key, exit status)`.

    Args:
        key: Whatever names it.
        words: The command.
        slot: Where it runs.
        log: File that gets what it prints.
        events: Queue that hears of its end.
    """

    def __init__(
        self, key: int, words: Sequence[str], slot: Slot, log: Path, events: queue.Queue[tuple[int, int]]
    ) -> None:
        self.key, self.slot, self.log = key, slot, log
        self.started = time.monotonic()
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                list(words),
                stdin=subprocess.DEVNULL,  # nothing may ever wait for an answer
                stdout=stream,
                stderr=subprocess.STDOUT,
                env={**os.environ, **slot.environment, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,  # Ctrl-C reaches the runner alone, which then stops the whole group
            )
        _pid_file(log).write_text(str(self.process.pid))
        threading.Thread(target=self._wait, args=(events,), daemon=True).start()

    def _wait(self, events: queue.Queue[tuple[int, int]]) -> None:
        status = self.process.wait()
        _pid_file(self.log).unlink(missing_ok=True)
        events.put((self.key, status))

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started


def stop_all(children: Iterable[Child], grace_s: float = _GRACE_S) -> None:
    """End children and whatever they started: asked first, then killed.

    Args:
        children: Those that may still run.
        grace_s: Seconds they have together before they are killed.
    """
    children = list(children)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for child in children:
            if child.process.poll() is None:
                _signal_group(child.process.pid, number)
        deadline = time.monotonic() + grace_s
        for child in children:
            try:
                child.process.wait(max(0.01, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                continue
    for child in children:
        _signal_group(child.process.pid, signal.SIGKILL)  # what the child itself started and left


def stop_orphan(log: Path, marker: str) -> None:
    """End a child that outlived a killed runner, so that its folder is free to go on in.

    Args:
        log: The log file it was started with.
        marker: A text of its command line, by which it is told from a stranger with a recycled process id.
    """
    path = _pid_file(log)
    try:
        pid = int(path.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (OSError, ValueError):
        path.unlink(missing_ok=True)
        return
    if marker in command:
        _signal_group(pid, signal.SIGKILL)
        for _ in range(100):  # it is no child of ours, so there is nothing to wait on
            if not Path(f"/proc/{pid}").exists():
                break
            threading.Event().wait(0.05)
    path.unlink(missing_ok=True)


def last_lines(log: Path, count: int = 5) -> str:
    """Return the last lines of a log that are not empty; of a progress bar only its last state."""
    try:
        text = log.read_bytes()[-20000:].decode(errors="replace")
    except OSError:
        return ""
    lines = [line.rsplit("\r", 1)[-1].rstrip() for line in text.splitlines()]
    return "\n".join([line for line in lines if line.strip()][-count:])


def _pid_file(log: Path) -> Path:
    return log.with_suffix(".pid")


def _signal_group(pid: int, number: int) -> bool:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
