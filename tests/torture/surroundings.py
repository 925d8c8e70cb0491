"""Run commands where something is not as usual: signals, pipes, disks, folders of others, odd names and locales.

    python -m tests.torture.surroundings [NAME ...] [seed=0] [work=FOLDER]

Each case starts `python -m vitvis...` as a process of its own, as a user or a scheduler would.
"""

from __future__ import annotations

import ctypes
import os
import re
import resource
import shlex
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
#: What is there when a command has ended well.
RESULT = {"fit": "sheet.png", "search": "summary.json", "evaluate": "results.json", "sweep": "index.html"}
#: A locale in which Python reads names as ASCII.
ASCII = {"LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


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
        self.search, self.evaluate, self.sweep = runs.search(work), runs.evaluate(work), runs.sweep(work)

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
        return child.wait() == 0 and (out / RESULT[words]).exists() and "Traceback" not in error, error[-300:]

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


def _mind_owners() -> None:
    """Take from root, in a child before it starts, what lets it write into everybody's folders."""
    drop, overrides = 24, (1, 2, 3)  # PR_CAPBSET_DROP of CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER
    for capability in overrides:
        if ctypes.CDLL(None, use_errno=True).prctl(drop, capability, 0, 0, 0):
            raise PermissionError(ctypes.get_errno(), "can't give up a capability")


def _foreign_folder(place: Place) -> Verdict:
    """A folder that belongs to somebody else, for a user who may only read it."""
    if os.getuid() != 0:
        return None
    out = place.fresh("foreign")
    place.run([*place.fit, f"out={out}"])
    for path in [out, *out.rglob("*")]:
        os.chown(path, 65534, 65534)
        path.chmod(0o755 if path.is_dir() else 0o644)
    bad = []
    for words in (
        [*place.fit, f"out={out}"],
        ["sweep", "--report", str(out), f"out={out}/report"],
        ["atlas", str(out), f"out={out}/site"],
    ):
        try:
            done = place.run(words, preexec_fn=_mind_owners)
        except subprocess.SubprocessError:  # a container that lets nobody do that
            return None
        said = [line for line in done.stderr.splitlines() if line.startswith(ONE_LINE)]
        if done.returncode != 2 or len(said) != 1 or "Traceback" in done.stderr:
            bad.append(f"{words[0]}: status {done.returncode}: {done.stderr[-300:]}")
    return not bad, "; ".join(bad)


def _works(env: dict[str, str], name: str = "plain", words: str = "fit") -> Callable[[Place], Verdict]:
    """Return a case: a command that has to end well in an environment, in a folder of some name."""

    def case(place: Place) -> Verdict:
        out = place.fresh(name)
        done = place.run([*getattr(place, words), f"out={out}"], env=env)
        return done.returncode == 0 and (out / RESULT[words]).exists(), done.stderr[-400:]

    return case


def _small_memory(words: str) -> Callable[[Place], Verdict]:
    """Return a case: workers, and 64 kB of shared memory; it ends well, or in one line that says what to do."""

    def case(place: Place) -> Verdict:
        out = place.fresh("shared")
        argv = [*getattr(place, words), "workers=2", f"out={out}"]
        mount = "mount -t tmpfs -o size=64k tmpfs /dev/shm"
        if subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True).returncode:
            return None  # no root, or a container that lets nobody mount
        whole = shlex.join(place.command(argv))
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", f"{mount} && exec {whole}"], capture_output=True, text=True, errors="replace"
        )
        said = [line for line in done.stderr.splitlines() if line.startswith(ONE_LINE) and "workers=0" in line]
        held = done.returncode == 0 and (out / RESULT[words]).exists() or done.returncode == 2 and len(said) == 1
        return held and "Traceback" not in done.stderr, f"status {done.returncode}: {done.stderr[-300:]}"

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
    "full shared memory, search": _small_memory("search"),
    "full shared memory, evaluate": _small_memory("evaluate"),
    "folder of another user": _foreign_folder,
    "folder of another run": _other_run,
    "left behind by the dead": _left_behind,
    "LANG=C, ASCII output, a name that is not, fit": _works(ASCII, "näme ✓"),
    "LANG=C, ASCII output, a name that is not, search": _works(ASCII, "näme ✓", "search"),
    "LANG=C, ASCII output, a name that is not, evaluate": _works(ASCII, "näme ✓", "evaluate"),
    "LANG=C, ASCII output, a name that is not, sweep": _works(ASCII, "näme ✓", "sweep"),
    "LANG=C, a name that is no UTF-8": _works(ASCII, os.fsdecode(b"n\xe4me")),
    "a name that is no UTF-8": _works({}, os.fsdecode(b"n\xe4me")),
    "MPLBACKEND of a notebook": _works({"MPLBACKEND": "module://matplotlib_inline.backend_inline"}),
    "no home": _works({"HOME": "/dev/null/nobody", "XDG_CACHE_HOME": ""}),
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
