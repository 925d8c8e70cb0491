"""Files and folders that are whole or not there; partial ones of dead processes go, those of live ones stay."""

import os
import subprocess
import sys

import pytest

from vitvis.errors import VitvisError
from vitvis.launch.cores import count_cores
from vitvis.runs import atomic_folder, atomic_write, check_folder, check_path, read_csv, to_csv
from vitvis.runs.files import process_token, remove_partials, utf8


def dead_token():
    code = "from vitvis.runs.files import process_token; print(process_token())"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_partials_of_the_dead_go_and_those_of_the_living_stay(tmp_path):
    mine, dead = process_token(), dead_token()
    host, pid, started = mine.split("-")
    recycled = f"{host}-{pid}-{int(started) - 1}"  # another process had this number before
    for name in (f".a.{mine}.partial", f".b.{dead}.partial", f".c.{recycled}.partial", ".d.77.partial"):
        (tmp_path / name).write_text("x")
    (tmp_path / f".e.{dead}.partial/sprites").mkdir(parents=True)
    foreign = tmp_path / f".f.abcdef-{pid}-1.partial"
    foreign.write_text("another machine is at it")
    remove_partials(tmp_path.iterdir())
    assert {path.name for path in tmp_path.iterdir()} == {f".a.{mine}.partial", foreign.name}
    os.utime(foreign, (0, 0))
    remove_partials(tmp_path.iterdir())
    assert not foreign.exists()


def test_what_is_written_is_utf8_whatever_a_name_is():
    name = os.fsencode("näme ✓").decode("ascii", "surrogateescape")  # as Python has it under LANG=C
    assert utf8(name) == utf8("näme ✓") == "näme ✓".encode()
    assert utf8(b"n\xe4me".decode(errors="surrogateescape")) == rb"n\udce4me"
    assert utf8("\ud800") == rb"\ud800"


def test_a_folder_takes_the_place_of_another_whole_or_not_at_all(tmp_path):
    out = tmp_path / "site"
    with atomic_folder(out) as building:
        (building / "one").write_text("1")
    with pytest.raises(ZeroDivisionError), atomic_folder(out) as building:
        (building / "two").write_text("2")
        1 / 0  # noqa: B018
    assert [path.name for path in out.iterdir()] == ["one"] and len(list(tmp_path.iterdir())) == 1
    with atomic_folder(out) as building:
        (building / "two").write_text("2")
    assert [path.name for path in out.iterdir()] == ["two"] and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("moment", [1, 2, 3])
def test_a_kill_in_any_moment_of_the_exchange_loses_neither(tmp_path, moment):
    """Killed before the first rename, between the two, or after the second: the next run finds the old or the new."""
    code = f"""
import os, signal, sys
from vitvis.runs import atomic_folder, files
replace, left = os.replace, [{moment}]
def killed(*paths):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(*paths)
    if left[0] == 1 and {moment} == 3:
        os.kill(os.getpid(), signal.SIGKILL)
with atomic_folder(sys.argv[1]) as building:
    (building / "old").write_text("x")
files.os.replace = killed
with atomic_folder(sys.argv[1]) as building:
    (building / "new").write_text("x")
"""
    out = tmp_path / "site"
    assert subprocess.run([sys.executable, "-c", code, str(out)]).returncode == -9
    remove_partials(tmp_path.glob(".*.partial"))
    assert [path.name for path in tmp_path.iterdir()] == ["site"]
    assert [path.name for path in out.iterdir()] == ["new" if moment == 3 else "old"]


def test_names_may_be_as_long_as_the_file_system_takes(tmp_path):
    atomic_write(tmp_path / ("a" * 255), b"x")
    with atomic_folder(tmp_path / ("b" * 255)) as building:
        (building / "c").write_text("x")
    assert sorted(len(path.name) for path in tmp_path.iterdir()) == [255, 255]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("a" * 256, "256 bytes"),
        ("ä" * 128, "256 bytes"),
        ("a\0b", "zero byte"),
        ("file/below", "is a file"),
        ("file", "is a file"),
    ],
)
def test_a_path_that_can_be_none_is_one_line(tmp_path, name, says):
    (tmp_path / "file").write_text("x")
    with pytest.raises(VitvisError, match=says):
        check_path(tmp_path / name)
    with pytest.raises(VitvisError, match=says):
        check_folder(f"{tmp_path}/{name}", "fit")


def test_cores_are_what_affinity_and_quota_leave(tmp_path):
    free = count_cores(tmp_path)
    assert free == len(os.sched_getaffinity(0))
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/pod/box\n")
    group = tmp_path / "sys/fs/cgroup/pod/box"
    group.mkdir(parents=True)
    (group / "cpu.max").write_text("max 100000\n")
    assert count_cores(tmp_path) == free
    (group.parent / "cpu.max").write_text("50000 100000\n")  # half a core for the pod
    assert count_cores(tmp_path) == 1
    (tmp_path / "proc/self/cgroup").write_text("4:cpu,cpuacct:/docker/x\n")  # version 1
    (tmp_path / "sys/fs/cgroup/cpu/docker/x").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/cpu/docker/x/cpu.cfs_quota_us").write_text("-1\n")
    (tmp_path / "sys/fs/cgroup/cpu/docker/x/cpu.cfs_period_us").write_text("100000\n")
    assert count_cores(tmp_path) == free


def test_csv_is_read_as_it_was_written(tmp_path):
    rows = [{"a": 1, "b": 'x, "y"\nz'}, {"a": 0.1234567, "c": None}]
    (tmp_path / "a.csv").write_text(to_csv(rows, digits=lambda value: round(value, 3)))
    assert read_csv(tmp_path / "a.csv") == [
        {"a": "1", "b": 'x, "y"\nz', "c": ""}, {"a": "0.123", "b": "", "c": ""}
    ]  # fmt: skip
    assert to_csv([], ("a", "b")) == "a,b\n" and read_csv(tmp_path / "none.csv") == []
