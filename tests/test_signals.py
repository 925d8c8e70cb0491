"""How a command ends: by signals within seconds and with their status, by a reader that goes away not at all."""

import signal
import subprocess
import sys
import time

import pytest

from vitvis.errors import run_main, sentence

WAITS = """
import sys, time
from vitvis import signals
from vitvis.errors import run_main
signals.GRACE_S = 1.0
def main(argv):
    print("ready", flush=True)
    {body}
sys.exit(run_main(main))
"""
BODIES = {
    "python": "while True: time.sleep(0.01)",
    "library": "import ctypes; ctypes.PyDLL(None).sleep(100)",  # holds the interpreter's lock? no: see below
    "deaf": """
    while True:
        try:
            time.sleep(0.01)
        except BaseException:
            pass""",
}
BODIES["library"] = "import ctypes; ctypes.CDLL(None).sleep(100); time.sleep(100)"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("body", BODIES)
def test_a_signal_ends_a_command_whatever_it_waits_in(body: str, number: int) -> None:
    code = WAITS.format(body=BODIES[body])
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "ready\n"
    child.send_signal(number)
    _, error = child.communicate(timeout=60)
    assert child.returncode == 128 + number
    assert error.count("\n") == 1 and "run the same command again to go on" in error


def test_a_second_signal_ends_it_at_once() -> None:
    code = WAITS.format(body=BODIES["deaf"]).replace("GRACE_S = 1.0", "GRACE_S = 600.0")
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    child.stdout.readline()
    child.send_signal(signal.SIGINT)
    time.sleep(0.2)  # else the system may merge the two
    child.send_signal(signal.SIGINT)
    _, error = child.communicate(timeout=60)
    assert child.returncode == 130 and error.count("\n") == 1


def test_a_command_ends_with_the_command_that_started_it() -> None:
    inner = WAITS.format(body=BODIES["python"])
    code = WAITS.format(body=f"import subprocess; p = subprocess.Popen([sys.executable, '-c', {inner!r}]); p.wait()")
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert [child.stdout.readline() for _ in range(2)] == ["ready\n"] * 2
    child.kill()
    child.communicate(timeout=60)  # the pipes close when the inner one is gone as well
    assert child.returncode == -signal.SIGKILL


def test_a_command_can_end_itself_from_another_thread() -> None:
    body = "import threading; from vitvis.signals import stop_with; "
    body += "threading.Thread(target=stop_with, args=('rank 1 was killed',)).start(); time.sleep(100)"
    done = subprocess.run([sys.executable, "-c", WAITS.format(body=body)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "vitvis: rank 1 was killed; run the same command again to go on from here\n"


@pytest.mark.parametrize("where", ["stdout", "stderr"])
def test_a_reader_that_goes_away_changes_nothing(where: str, tmp_path) -> None:
    body = (
        f"[print('x' * 100, file=sys.{where}, flush=True) for _ in range(2000)]; open({str(tmp_path / 'done')!r}, 'w')"
    )
    pipes = {where: subprocess.PIPE, ({"stdout", "stderr"} - {where}).pop(): subprocess.DEVNULL}
    child = subprocess.Popen([sys.executable, "-c", WAITS.format(body=body)], **pipes)
    getattr(child, where).close()
    assert child.wait(60) == 0 and (tmp_path / "done").exists()


def test_streams_that_are_closed_or_know_ascii_only_change_nothing(tmp_path) -> None:
    body = "from rich.console import Console; Console().print('Ünit'); print('ü', file=sys.stderr); "
    body += f"open({str(tmp_path / 'done')!r}, 'w')"
    command = [sys.executable, "-c", WAITS.format(body=body)]
    done = subprocess.run(["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *command])
    assert done.returncode == 0 and (tmp_path / "done").exists()
    done = subprocess.run(
        command,
        env={"PYTHONIOENCODING": "ascii", "PATH": "/usr/bin", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
    )
    assert done.returncode == 0 and b"\\xdcnit" in done.stdout


def test_handlers_are_given_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    out = sys.stdout
    assert run_main(lambda argv: 3, []) == 3
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before and sys.stdout is out


def test_other_libraries_are_quoted_in_a_sentence() -> None:
    long = "Weights only load failed. In PyTorch 2.6, we changed the default value of the `weights_only` argument"
    assert sentence(ValueError(long + "\nmore\n")) == "Weights only load failed"
    assert sentence("no sentence end at all " * 20).endswith(" ...") and len(sentence("ab " * 200)) < 170
    assert sentence(ValueError()) == "ValueError" and sentence("v1.2.3 is old. Get 2.0.") == "v1.2.3 is old"
