"""Where children run, and what is kept of what they say."""

import os

import pytest

from vitvis.errors import VitvisError
from vitvis.launch.cores import count_cores
from vitvis.sweep.children import find_slots, last_lines, stop_orphan


def test_the_cpu_is_divided(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    slots = find_slots("cpu", 3)
    assert [slot.environment["OMP_NUM_THREADS"] for slot in slots] == ["2"] * 3
    assert {slot.environment["CUDA_VISIBLE_DEVICES"] for slot in slots} == {""}
    assert len(find_slots("cpu")) == 4  # not one a core: memory
    for name, value in slots[0].environment.items():
        monkeypatch.setenv(name, value)
    assert count_cores() <= 2  # what a trial counts, and starts processes by


def test_each_gpu_gets_a_child_of_its_own(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    assert [slot.environment["CUDA_VISIBLE_DEVICES"] for slot in find_slots("0,2")] == ["0", "2"]
    assert [slot.name for slot in find_slots([0, 2], 3)] == ["0", "2", "0"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert [slot.name for slot in find_slots()] == ["3", "5"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert {slot.name for slot in find_slots()} == {"cpu"}
    with pytest.raises(VitvisError, match="no GPU 9; this machine has none that is visible"):
        find_slots("9")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1a2b")
    assert [slot.name for slot in find_slots("0")] == ["0"]


@pytest.mark.parametrize("devices", ["gpu", "cuda:0", "", "cpu,0"])
def test_devices_that_mean_nothing(devices):
    with pytest.raises(VitvisError, match="write auto, cpu, or indices"):
        find_slots(devices)


def test_the_last_lines_are_those_a_person_would_read(tmp_path):
    log = tmp_path / "a.log"
    log.write_bytes(b"one\n\n 10%\r 50%\r100%\n  \ntwo\xff\nvitvis: no\n\n")
    assert last_lines(log, 3) == "100%\ntwo\ufffd\nvitvis: no" and last_lines(tmp_path / "none.log") == ""


def test_a_process_id_that_is_a_strangers_now_is_left_alone(tmp_path):
    log = tmp_path / "a.log"
    (tmp_path / "a.pid").write_text(str(os.getpid()))
    stop_orphan(log, "a text that is in no command line of mine")
    assert not (tmp_path / "a.pid").exists()  # and this test still runs
