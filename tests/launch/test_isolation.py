"""A run inside a caller's process: what the caller has set does not reach it, and nothing of it stays."""

from __future__ import annotations

import importlib
import random
import signal

import numpy
import pytest
import torch

from vitvis.cli import find_command
from vitvis.config.core import merge
from vitvis.errors import VitvisError
from vitvis.fit.engine import run_fit
from vitvis.fit.settings import FitSettings
from vitvis.launch.isolation import isolated, own_world

SMALL = ["model=test_vit", "weights=none", "image_size=64", "steps=2", "copies=1", "trainer.accelerator=cpu"]
SMALL += ["trainer.progress=none", "logger=none", "units=blocks.0.mlp:0", "augment.kornia.RandomGrayscale.p=0.5"]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return run_fit(merge(FitSettings, SMALL, {"out": str(tmp_path_factory.mktemp("plain") / "run")}))


CALLERS = {
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "inference": torch.inference_mode,
    "no_grad": torch.no_grad,
}


@pytest.mark.parametrize("name", [*CALLERS, "float64"])
def test_a_fit_is_the_same_whatever_the_caller_has_set(plain, tmp_path, name) -> None:
    settings = merge(FitSettings, SMALL, {"out": str(tmp_path / "run")})
    if name == "float64":
        torch.set_default_dtype(torch.float64)
        try:
            (record,) = run_fit(settings).records
            assert torch.get_default_dtype() == torch.float64
        finally:
            torch.set_default_dtype(torch.float32)
    else:
        with CALLERS[name]():
            (record,) = run_fit(settings).records
    (expected,) = plain.records
    assert record["activation"] == pytest.approx(expected["activation"], abs=1e-6)
    assert record["activation_start"] == pytest.approx(expected["activation_start"], abs=1e-6)
    assert (tmp_path / "run" / record["image"]).read_bytes()[:64] == (plain.path / expected["image"]).read_bytes()[:64]


def test_random_streams_threads_and_filters_are_given_back(tmp_path) -> None:
    import warnings

    def state():
        return (
            random.getstate(), repr(numpy.random.get_state()), torch.get_rng_state().tolist(), torch.get_num_threads(),
            list(warnings.filters),
        )  # fmt: skip

    before = state()
    run_fit(merge(FitSettings, SMALL, {"out": str(tmp_path / "run"), "trainer": {"threads": 2}}))
    assert state() == before


@pytest.mark.parametrize("awake", [True, False])
def test_the_streams_of_gpus_are_given_back(monkeypatch, awake) -> None:
    """Where the caller has not used them yet, they begin with the caller's seed and not with ours."""
    told, running = [], [awake]
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: running[0])
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: ["the caller's"])
    monkeypatch.setattr(torch.cuda, "set_rng_state_all", told.append)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", told.append)
    torch.default_generator.manual_seed(11)
    with own_world():
        running[0] = True
    assert told == [["the caller's"] if awake else 11]


#: What does the work of each command, and the first that it calls.
WORK = {
    "fit": ("run_fit", "make_plan"),
    "search": ("search", "open_source"),
    "evaluate": ("evaluate", "open_source"),
    "judge": ("judge_runs", "open_case"),
    "concepts": ("find_concepts", "read_vocabulary"),
    "findings": ("run_findings", "read_notes"),
    "dictionary": ("train", "open_source"),
}


@pytest.mark.parametrize("name", WORK)
def test_every_command_that_reads_a_model_works_in_a_world_of_its_own(name, monkeypatch) -> None:
    engine = importlib.import_module(f"vitvis.{name}.engine")
    work, first = WORK[name]
    seen = []

    def look(*args, **kwargs):
        seen.append(
            (torch.is_autocast_enabled("cpu"), torch.is_inference_mode_enabled(), torch.get_default_dtype(),
             signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)
        )  # fmt: skip
        raise VitvisError("seen")

    monkeypatch.setattr(engine, first, look)
    needs = {"judge": ["run=x"], "search": ["data=folder:x"], "evaluate": ["data=folder:x"], "concepts": ["run=x"]}
    needs["dictionary"] = ["data=folder:x", "site=blocks.0.block"]
    settings = merge(find_command(name).settings, needs.get(name, []))
    before = signal.getsignal(signal.SIGTERM)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16), pytest.raises(VitvisError, match="seen"):
        getattr(engine, work)(settings)
    assert seen == [(False, False, torch.float32, False)] and signal.getsignal(signal.SIGTERM) is before


def test_ctrl_c_is_the_keyboard_interrupt_that_a_notebook_knows(monkeypatch) -> None:
    """A process alone may go on; its second Ctrl-C does not end it either."""
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    before = signal.getsignal(signal.SIGINT)

    @isolated
    def work(settings):
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match="run the same command again"):
        work(None)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_run_in_a_run_leaves_signals_to_the_outer_one() -> None:
    @isolated
    def outer(settings):
        inside = signal.getsignal(signal.SIGINT)
        assert isolated(lambda settings: signal.getsignal(signal.SIGINT))(None) == inside
        return inside

    assert outer(None) != signal.getsignal(signal.SIGINT)
