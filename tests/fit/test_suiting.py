"""On a CPU: the faster precision, weights cast once, forked processes; each against the plain way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
import torch

from tests.fit.test_command import ARGV, SMALL, curves, files, pixels, without_timing
from vitvis.backbones.bfloat16 import CastWeights
from vitvis.config.core import merge
from vitvis.fit import suiting
from vitvis.fit.cost import Cost, SiteCost, estimate
from vitvis.fit.engine import run_fit
from vitvis.fit.plan import Plan, make_plan
from vitvis.fit.settings import FitSettings
from vitvis.runs import read_manifest, read_records


@pytest.fixture()
def clock(monkeypatch, tmp_path):
    """Steps as slow as it says, by precision; lists what was timed."""
    seconds = {"32-true": 8.0, "bf16-mixed": 4.0}
    timed: list[str] = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(suiting, "multiplies_bfloat16", lambda: True)
    monkeypatch.setattr(suiting, "step_seconds", lambda module, chunk, precision, steps: seconds[precision])

    def fake(plan: Plan) -> Cost:
        timed.append(plan.precision)
        return Cost(plan, (SiteCost("a", len(plan.units), 1, seconds[plan.precision]),), 0.0, "")

    monkeypatch.setattr(suiting, "estimate", fake)
    return seconds, timed


def plan_of(tmp_path, *words: str) -> Plan:
    return make_plan(merge(FitSettings, SMALL, ["units=blocks.0.mlp:0-3", f"out={tmp_path / 'run'}", *words]))


def test_bfloat16_is_taken_where_it_is_faster_by_half(tmp_path, clock) -> None:
    seconds, timed = clock
    plan = suiting.choose_precision(plan_of(tmp_path))
    assert plan.precision == plan.identity()["precision"] == plan.trainer["precision"] == "bf16-mixed"
    assert "2.0 times as fast" in plan.why and plan.why in estimate(plan).text()
    assert timed == ["32-true", "32-true", "bf16-mixed"]
    seconds["bf16-mixed"] = 100.0
    assert suiting.choose_precision(plan_of(tmp_path)).precision == "bf16-mixed"  # remembered
    assert timed.count("bf16-mixed") == 1


def test_float32_stays(tmp_path, clock, monkeypatch) -> None:
    seconds, timed = clock
    assert suiting.choose_precision(plan_of(tmp_path, "trainer.precision=32-true")).precision == "32-true"
    seconds["32-true"] = 0.01  # all is done within a second
    assert suiting.choose_precision(plan_of(tmp_path)).precision == "32-true" and not timed
    seconds["32-true"] = 8.0
    monkeypatch.setattr(suiting, "recall", lambda key: None)
    seconds["bf16-mixed"] = 8.0 / 1.4
    assert suiting.choose_precision(plan_of(tmp_path)).precision == "32-true" and "bf16-mixed" in timed
    monkeypatch.setattr(suiting, "multiplies_bfloat16", lambda: False)
    seconds["bf16-mixed"] = 0.1
    assert suiting.choose_precision(plan_of(tmp_path)).precision == "32-true"


def test_a_folder_keeps_its_precision_whatever_a_shard_has_measured(tmp_path, clock) -> None:
    seconds, _ = clock
    settings = merge(FitSettings, ARGV, {"out": str(tmp_path / "run")})
    seconds["bf16-mixed"] = 8.0
    late = suiting.choose_precision(make_plan(merge(FitSettings, settings, {"shard": "1/2"})))
    seconds["bf16-mixed"] = 1.0
    (tmp_path / "cache" / "vitvis" / "speed.json").unlink()
    assert run_fit(merge(FitSettings, settings, {"shard": "0/2"})).plan.precision == "bf16-mixed"
    from vitvis.fit.engine import _make

    assert late.precision == "32-true"  # planned before the folder was begun
    done = _make(late, (), None)
    assert done.plan.precision == "bf16-mixed" == read_manifest(tmp_path / "run")["precision"]
    assert done.sheet is not None and len(done.records) == 6


def test_weights_cast_once_are_those_of_autocast(backbone) -> None:
    weights, site = CastWeights(backbone), backbone.site("blocks.1.block")
    before = {name: parameter.clone() for name, parameter in backbone.named_parameters()}

    def step(cast: bool) -> list[torch.Tensor]:
        from contextlib import nullcontext

        from vitvis.backbones import Tap

        images = torch.linspace(0, 1, 3 * 32 * 32).reshape(1, 3, 32, 32).requires_grad_(True)
        with torch.autocast("cpu", torch.bfloat16):
            with weights.use("cpu") if cast else nullcontext(), Tap(backbone, [site]) as tap:
                if cast:
                    assert backbone.model.blocks[0].mlp.fc1.weight.dtype == torch.bfloat16
                found = tap(images)[site.name]
            found.float().square().sum().backward()
        return [found.detach(), images.grad]

    for one, other in zip(step(True), step(False), strict=True):
        assert torch.equal(one, other)
    held = dict(weights._cast)
    step(True)
    assert len(held) == len(weights._cast) and all(weights._cast[key] is value for key, value in held.items())
    with weights.use("cpu"):  # no autocast: nothing is changed
        assert backbone.model.blocks[0].mlp.fc1.weight.dtype == torch.float32
    with pytest.raises(KeyError), torch.autocast("cpu", torch.bfloat16), weights.use("cpu"):
        raise KeyError
    assert all(torch.equal(parameter, before[name]) for name, parameter in backbone.named_parameters())
    assert all(parameter.dtype == torch.float32 for parameter in backbone.parameters())


FORKED = """
import json, os, signal, sys
import torch
from pytorch_lightning import Callback
from vitvis.config.core import merge
from vitvis.fit import suiting
from vitvis.fit.engine import run_fit
from vitvis.fit.settings import FitSettings

suiting.WORTH_S, suiting.count_cores = 0.0, lambda: 2
suiting.multiplies_bfloat16 = lambda: False
first = os.getpid()

class Die(Callback):
    def on_train_batch_start(self, trainer, module, batch, index):
        if sys.argv[1] == "dies" and os.getpid() != first and index == 7:
            os.kill(os.getpid(), signal.SIGKILL)

done = run_fit(merge(FitSettings, sys.argv[2:]), [Die()], forks=True)
print(json.dumps([done.made, len(done.records), str(done.sheet)]))
"""


@pytest.mark.slow
def test_forked_processes_make_what_one_makes_and_stand_in_for_one_that_dies(tmp_path) -> None:
    whole = tmp_path / "whole"
    run_fit(merge(FitSettings, ARGV, {"out": str(whole), "trainer": {"threads": 1}}))  # as each of the processes has
    for end in ("lives", "dies"):
        out = tmp_path / end
        argv = [sys.executable, "-c", FORKED, end, *ARGV, f"out={out}"]
        env = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # torch asks MKL first
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout.splitlines()[-1]) == [6, 6, str(out / "sheet.png")]
        assert ("ended by signal 9; what it has not made is made now" in done.stderr) == (end == "dies")
        assert files(out) == files(whole) and curves(out) == curves(whole)
        assert without_timing(read_records(out)) == without_timing(read_records(whole))
        for name in files(out):
            if name.startswith(("images/", "progress/")):
                assert (pixels(out / name) == pixels(whole / name)).all(), name


def test_processes_are_shared_out_only_where_nobody_has_said_otherwise(tmp_path, clock, monkeypatch) -> None:
    monkeypatch.setattr(suiting, "count_cores", lambda: 4)

    def count(*words: str, cores: int = 4, **given: Any) -> int:
        monkeypatch.setattr(suiting, "count_cores", lambda: cores)
        return suiting.choose_processes(plan_of(tmp_path, "chunk=1", *words))

    assert count() == 4 and count("chunk=2") == 2 and count(cores=1) == 1
    for word in ("trainer.threads=2", "trainer.devices=1", "shard=0/2", "logger.kind=tensorboard", "chunk=4"):
        assert count(word) == 1, word
    clock[0]["32-true"] = 0.001
    monkeypatch.setattr(suiting, "recall", lambda key: None)
    assert count() == 1
