"""A run inside a caller's process: what the caller has set does not reach it, and nothing of it stays."""

from __future__ import annotations

import random

import numpy
import pytest
import torch

from vitvis.config.core import merge
from vitvis.fit.engine import run_fit
from vitvis.fit.settings import FitSettings
from vitvis.launch.isolation import own_world

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
