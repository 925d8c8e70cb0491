"""Run commands where something is not as usual: signals, pipes, disks, folders of others, odd names and locales.

    python -m tests.torture.surroundings [NAME ...] [seed=0] [work=FOLDER]

Each case starts `python -m vitvis...` as a process of its own, as a user or a scheduler would.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.torture import runs

__all__ = ["CASES", "main"]

Verdict = tuple[bool, str] | None  # None: can't be tried here
ONE_LINE = "vitvis: "


class Place:
    """Where cases work: a folder with photos, small commands, and a finished run of each.

    Args:
        work: An empty folder.
    """

    def __init__(self, work: Path) -> None:
        self.work = work
        runs.prepare(work)
        self.long = ["fit", *runs.TINY, *runs.QUIET, "steps=100000", "copies=2", "chunk=4"]
        self.fit = [*runs.fit(work)[:1], *runs.TINY, *runs.QUIET, "steps=2", "copies=1", "units=blocks.0.mlp:0"]
        self.search, self.evaluate = runs.search(work), runs.evaluate(work)

    def command(self, words: Sequence[str]) -> list[str]:
        """Return a command as a process: `python -m vitvis.fit ...`."""
        return [sys.executable, "-m", f"vitvis.{words[0]}", *words[1:]]

    def run(self, words: Sequence[str], **how: object) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        environment = {**os.environ, **how.pop("env", {})}  # type: ignore[dict-item]
        return subprocess.run(
            self.command(words), capture_output=True, text=True, errors="replace", env=environment, **how
        )  # type: ignore[call-overload]

    def fresh(self, name: str) -> Path:
        """Return a folder that is not there."""
        path = self.work / name
        shutil.rmtree(path, ignore_errors=True)
        return path


def _signal(number: int, *more: str, group: bool = False, words: str = "long") -> Callable[[Place], Verdict]:
    """Return a case: a signal, once the work has begun; within 15 s one line, the right status, nobody left."""

    def case(place: Place) -> Verdict:
        out = place.fresh("signalled")
        child = subprocess.Popen(
            [*place.command([*getattr(place, words), *more]), f"out={out}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        begun = time.monotonic()
        while not (out / "manifest.json").exists() and child.poll() is None and time.monotonic() - begun < 240:
            time.sleep(0.1)
        time.sleep(3)
        (os.killpg if group else os.kill)(child.pid, number)
        begun = time.monotonic()
        try:
            error = child.communicate(timeout=60)[1]
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            return False, "did not end in 60 s"
        seconds = time.monotonic() - begun
        time.sleep(2)
        left = [path for path in Path("/proc").glob("[0-9]*/stat") if _group(path) == child.pid]
        lines = [line for line in error.splitlines() if "run the same command again" in line]
        held = child.returncode == 128 + number and len(lines) == 1 and not left and "Traceback" not in error
        return held, f"status {child.returncode} after {seconds:.1f} s, {len(left)} left, {error[-300:]}"

    return case


def _group(path: Path) -> int:
    try:
        fields = path.read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return -1
    return -1 if fields[0] == "Z" else int(fields[2])


def _reader_goes(words: str) -> Callable[[Place], Verdict]:
    """Return a case: whoever reads stdout goes away after one line; the work goes on to its end."""

    def case(place: Place) -> Verdict:
        out = place.fresh("piped")
        child = subprocess.Popen(
            [*place.command(getattr(place, words)), f"out={out}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert child.stdout is not None and child.stderr is not None
        child.stdout.close()
        error = child.stderr.read().decode(errors="replace")
        done = {"fit": "sheet.png", "search": "summary.json", "evaluate": "results.json"}[words]
        return child.wait() == 0 and (out / done).exists() and "Traceback" not in error, error[-300:]

    return case


def _small_files() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))


def _full_disk(words: str) -> Callable[[Place], Verdict]:
    """Return a case: files may grow to 20 kB; one line, and the same command goes on once there is room."""

    def case(place: Place) -> Verdict:
        out = place.fresh("full")
        argv = [*getattr(place, words), f"out={out}"]
        first = place.run(argv, preexec_fn=_small_files)
        said = [line for line in first.stderr.splitlines() if line.startswith(ONE_LINE)]
        if first.returncode != 2 or "Traceback" in first.stderr or not said:
            return False, f"status {first.returncode}: {first.stderr[-300:]}"
        again = place.run(argv)
        return again.returncode == 0, again.stderr[-300:]

    return case


def _foreign_folder(place: Place) -> Verdict:
    """A folder that belongs to root, for another user."""
    if os.getuid() != 0:
        return None
    out = place.fresh("foreign")
    place.run([*place.fit, f"out={out}"])
    out.chmod(0o755)
    bad = []
    for words in (
        [*place.fit, f"out={out}"],
        ["sweep", "--report", str(out), f"out={out}/report"],
        ["atlas", str(out), f"out={out}/site"],
    ):
        try:
            done = place.run(words, user=65534, group=65534, env={"HOME": "/nonexistent"})
        except PermissionError:  # this Python lies where only root may go
            return None
        said = [line for line in done.stderr.splitlines() if line.startswith(ONE_LINE)]
        if done.returncode != 2 or len(said) != 1 or "Traceback" in done.stderr:
            bad.append(f"{words[0]}: status {done.returncode}: {done.stderr[-300:]}")
    return not bad, "; ".join(bad)


def _works(env: dict[str, str], name: str = "plain") -> Callable[[Place], Verdict]:
    """Return a case: a fit that has to end well in an environment, in a folder of some name."""

    def case(place: Place) -> Verdict:
        out = place.fresh(name)
        done = place.run([*place.fit, f"out={out}"], env=env)
        return done.returncode == 0 and (out / "sheet.png").exists(), done.stderr[-400:]

    return case


def _left_behind(place: Place) -> Verdict:
    """Half-built folders and files of killed processes, at every depth."""
    out = place.fresh("left")
    place.run([*place.fit, f"out={out}"])
    for name in (".atlas.123.partial/sprites", "images/.x.77.partial/y"):
        (out / name).mkdir(parents=True)
    (out / "records/.a.parquet.9.partial").write_bytes(b"half")
    done = place.run([*place.fit, f"out={out}"])
    left = [str(path) for path in out.rglob("*.partial")]
    return done.returncode == 0 and not left, f"{left} {done.stderr[-300:]}"


def _rank_dies(place: Place) -> Verdict:
    """One rank of two is killed: the other ends with one line, and the same command goes on."""
    out = place.fresh("ranks")
    words = [*place.long, "trainer.devices=2", f"out={out}"]
    child = subprocess.Popen(
        place.command(words), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    begun, rank = time.monotonic(), 0
    while not rank and child.poll() is None and time.monotonic() - begun < 240:
        time.sleep(0.2)
        rank = next(
            (int(path.parent.name) for path in Path("/proc").glob("[0-9]*/stat") if _parent(path) == child.pid), 0
        )
    time.sleep(12)
    os.kill(rank, signal.SIGKILL)
    try:
        error = child.communicate(timeout=60)[1]
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        return False, "did not end in 60 s"
    lines = re.findall(r"(?m)^vitvis: .*run the same command again", error)
    return child.returncode == 1 and len(lines) == 1, f"status {child.returncode}: {error[-300:]}"


def _parent(path: Path) -> int:
    try:
        fields = path.read_text(errors="replace").rpartition(")")[2].split()
        command = path.with_name("cmdline").read_bytes()
    except OSError:
        return -1
    return int(fields[1]) if b"vitvis" in command else -1


def _other_run(place: Place) -> Verdict:
    """A folder that holds a run of another kind."""
    out = place.fresh("other")
    place.run([*place.fit, f"out={out}"])
    bad = []
    data = f"data=folder:{place.work / 'boxes'}"
    for words in (
        place.search,
        place.evaluate,
        ["findings", data],
        ["sweep", "--report", str(out)],
        ["atlas", str(out)],
    ):
        done = place.run([*words, f"out={out}"])
        if done.returncode != 2 or done.stderr.count("\n") != 1:
            bad.append(f"{words[0]}: status {done.returncode}: {done.stderr[-200:]}")
    return not bad, "; ".join(bad)


CASES: dict[str, Callable[[Place], Verdict]] = {
    "SIGTERM, fit": _signal(signal.SIGTERM),
    "Ctrl-C, fit": _signal(signal.SIGINT, group=True),
    "SIGTERM, fit of two ranks": _signal(signal.SIGTERM, "trainer.devices=2"),
    "Ctrl-C, fit of two ranks": _signal(signal.SIGINT, "trainer.devices=2", group=True),
    "one rank of two is killed": _rank_dies,
    "the reader goes, fit": _reader_goes("fit"),
    "the reader goes, search": _reader_goes("search"),
    "the reader goes, evaluate": _reader_goes("evaluate"),
    "full disk, fit": _full_disk("fit"),
    "full disk, search": _full_disk("search"),
    "full disk, evaluate": _full_disk("evaluate"),
    "folder of another user": _foreign_folder,
    "folder of another run": _other_run,
    "left behind by the dead": _left_behind,
    "LANG=C, ASCII output, a name that is not": _works(
        {"LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}, "näme ✓"
    ),
    "MPLBACKEND of a notebook": _works({"MPLBACKEND": "module://matplotlib_inline.backend_inline"}),
    "no home": _works({"HOME": "/nonexistent", "XDG_CACHE_HOME": ""}),
    "a name with = and quotes": _works({}, "a=b 'c' \"d\""),
    "a name of 255 letters": _works({}, "n" * 255),
}


def main() -> int:
    """Run the script; return its exit status."""
    names, _, _, work = runs.arguments(1)
    place, table = Place(work), runs.Table()
    for name, case in CASES.items():
        if not names or any(word in name for word in names):
            verdict = case(place)
            if verdict is None:
                print(f"can't be tried here: {name}", flush=True)
                continue
            table.add(name, *verdict)
            print(f"{'held' if verdict[0] else 'FAILED'}  {name}", flush=True)
    return table.print()


if __name__ == "__main__":
    sys.exit(main())
