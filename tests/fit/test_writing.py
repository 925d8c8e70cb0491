"""Writing beside the work: order, errors, bounds, and that nothing is left behind."""

from __future__ import annotations

import os
import signal
import threading

import pytest
from pytorch_lightning import Callback

from vitvis.config.core import merge
from vitvis.fit.engine import run_fit
from vitvis.fit.settings import FitSettings
from vitvis.fit.writing import Background
from vitvis.runs import read_records

SMALL = ["model=test_vit", "weights=none", "image_size=64", "steps=2", "copies=1", "trainer.accelerator=cpu"]
SMALL += ["trainer.progress=none", "units=blocks.0.mlp:0-3", "chunk=1"]


def test_jobs_run_in_order_on_another_thread_and_all_before_join_ends() -> None:
    seen: list[tuple[int, int]] = []
    background = Background()
    for index in range(20):
        background.submit(lambda index=index: seen.append((index, threading.get_ident())))
    background.join()
    assert [index for index, _ in seen] == list(range(20))
    assert {thread for _, thread in seen}.isdisjoint({threading.get_ident()})
    assert not any(thread.name.startswith("vitvis-write") for thread in threading.enumerate())
    background.submit(lambda: seen.append((20, 0)))  # a chunk after a join: the thread is started anew
    background.join()
    assert seen[-1] == (20, 0)


def test_no_more_than_two_jobs_are_held_back() -> None:
    gate, running = threading.Event(), threading.Event()
    background = Background(waiting=2)
    background.submit(lambda: (running.set(), gate.wait()))  # type: ignore[arg-type,func-returns-value]
    background.submit(lambda: None)
    running.wait()
    third = threading.Thread(target=background.submit, args=(lambda: None,))
    third.start()
    assert third.is_alive()  # waits for the first
    gate.set()
    third.join()
    background.join()


def test_an_error_surfaces_at_the_next_call_and_later_jobs_do_not_run() -> None:
    seen: list[int] = []
    gate = threading.Event()

    def fail() -> None:
        gate.wait()
        raise OSError(28, "No space left on device")

    background = Background(waiting=3)
    background.submit(fail)
    background.submit(lambda: seen.append(1))
    gate.set()
    with pytest.raises(OSError, match="No space"):
        background.join()
    assert seen == []
    background.join()  # told once


def test_an_error_is_raised_by_submit_too() -> None:
    background = Background(waiting=1)

    def fail() -> None:
        raise ValueError("first")

    background.submit(fail)
    with pytest.raises(ValueError, match="first"):
        background.submit(lambda: None)


class Terminate(Callback):
    """Sends SIGTERM to this process in the third chunk, while the files of the second are held back."""

    def __init__(self) -> None:
        self.gate = threading.Event()

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        if batch.chunk.units[0].index == 2:
            try:
                os.kill(os.getpid(), signal.SIGTERM)  # its handler may raise at once
            finally:
                self.gate.set()


def test_sigterm_leaves_every_finished_chunk_on_the_disk(tmp_path, monkeypatch) -> None:
    stop, submit = Terminate(), Background.submit
    monkeypatch.setattr(Background, "submit", lambda self, job: submit(self, lambda: (stop.gate.wait(), job())))
    settings = merge(FitSettings, SMALL, {"out": str(tmp_path / "run")})
    with pytest.raises(SystemExit):
        run_fit(settings, [stop])
    assert {record["unit"] for record in read_records(tmp_path / "run")} >= {0, 1}
    assert not any(thread.name.startswith("vitvis-write") for thread in threading.enumerate())
    monkeypatch.undo()
    assert len(run_fit(settings).records) == 4


def test_a_disk_that_fails_ends_the_run_with_its_error(tmp_path, monkeypatch) -> None:
    import vitvis.runs.ledger as ledger

    write = ledger.atomic_write

    def full(path, data, **how):
        if "records" in str(path):
            raise OSError(28, "No space left on device", str(path))
        write(path, data, **how)

    monkeypatch.setattr(ledger, "atomic_write", full)
    with pytest.raises(OSError, match="No space left"):
        run_fit(merge(FitSettings, SMALL, {"out": str(tmp_path / "run")}))
    assert read_records(tmp_path / "run") == []


def test_a_checkpoint_goes_with_its_chunk_and_the_folder_with_the_run(tmp_path) -> None:
    """Written in every step but the last of each of four chunks, one image each."""
    out, during, before_sheet = tmp_path / "run", set(), []

    class Watch(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
            during.update(path.name for path in (out / "resume").glob("*"))

        def on_train_end(self, trainer, pl_module) -> None:  # every chunk is written, nothing is drawn
            before_sheet.extend((out / "resume").rglob("*"))
            assert (out / "resume").is_dir() and not (out / "sheet.png").exists()

    run_fit(merge(FitSettings, SMALL, {"out": str(out), "steps": 3, "trainer": {"checkpoint_every": 1}}), [Watch()])
    assert len(during) == 4 and before_sheet == []
    assert (out / "sheet.png").is_file() and not (out / "resume").exists()
