"""What `--dry-run` says is what a run does, and measuring leaves no trace but in the cache."""

from __future__ import annotations

import json

import pytest
import torch

from vitvis.backbones import parse_units
from vitvis.config.core import merge
from vitvis.fit import main, plan_chunks, remembered
from vitvis.fit import memory as memory_module
from vitvis.fit.engine import Fit, run_fit
from vitvis.fit.memory import measure_chunk
from vitvis.fit.plan import clock, interpolate, make_plan
from vitvis.fit.settings import FitSettings
from vitvis.fit.timing import bare_steps
from vitvis.runs import read_records

SMALL = ["model=test_vit", "weights=none", "image_size=64", "steps=3", "copies=2", "trainer.accelerator=cpu"]
SMALL += ["trainer.progress=none", "logger.kind=none"]
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/vitvis/speed.json"


def test_a_dry_run_prints_the_plan_and_writes_nothing(tmp_path, capsys) -> None:
    out = tmp_path / "run"
    assert main([*SMALL, "--dry-run", "units=blocks.{0,1}.mlp:0-4", "seeds=[0,1]", "chunk=4", f"out={out}"]) == 0
    text = capsys.readouterr().out
    assert "10 at 2 sites x 2 seeds = 20 images; 0 are there, 20 to make" in text
    assert "6 chunks of up to 4 images, 3 steps of 2 copies" in text
    assert "blocks.0.mlp" in text and "blocks.1.mlp" in text and "images/hour" in text and "disk" in text
    assert not out.exists()


def test_the_plan_is_what_the_run_does(tmp_path) -> None:
    argv = [*SMALL, "units=blocks.{0,1}.mlp:0-2", "chunk=2"]
    run_fit(merge(FitSettings, argv, ["units=blocks.0.mlp:0-1"], {"out": str(tmp_path / "run")}))
    settings = merge(FitSettings, argv, {"out": str(tmp_path / "run")})
    plan = make_plan(Fit(settings), setup=2.0)
    assert (plan.images, plan.done, plan.units) == (4, 2, 6)
    assert [(site.name, site.images, site.chunks) for site in plan.sites] == [
        ("blocks.0.mlp", 1, 1),
        ("blocks.1.mlp", 3, 2),
    ]
    assert plan.seconds > 2.0 and plan.disk > 4 * 64 * 64
    run_fit(settings)
    assert len(read_records(tmp_path / "run")) == 6
    assert make_plan(Fit(settings)).images == 0


def test_a_mistake_in_a_dry_run_is_one_line(tmp_path, capsys) -> None:
    assert main([*SMALL, "--dry-run", "units=blocks.9.mlp:0", f"out={tmp_path / 'run'}"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_costs_between_timed_sites_lie_on_a_line() -> None:
    known = [(0, 1.0), (4, 3.0), (8, 11.0)]
    assert [interpolate(known, depth) for depth in (0, 2, 4, 6, 8, 9)] == pytest.approx([1, 2, 3, 7, 11, 11])
    assert (clock(42.2), clock(61), clock(3725)) == ("42 s", "1:01", "1:02:05")


def test_bare_steps_make_the_image_that_the_trainer_makes(fit, backbone) -> None:
    from vitvis.fit import ActivationMaximization

    recipe = {"steps": 4, "copies": 2, "image": "pixel"}
    _, trained, _ = fit("blocks.1.mlp:2", recipe)
    chunks = plan_chunks(parse_units("blocks.1.mlp:2", backbone.sites), [0], backbone.sites, 1)
    module = ActivationMaximization(backbone, chunks, recipe)
    assert list(bare_steps(module, chunks[0])) == [1, 2, 3, 4]
    assert torch.equal(module.images()[0], trained[("blocks.1.mlp:2", 0)])


@pytest.fixture
def work(backbone):
    units = parse_units("blocks.1.mlp:0-15", backbone.sites)
    return plan_chunks(units, [0], backbone.sites, 10**6)


def timed(monkeypatch, seconds):
    """Pretend that a step of n images takes `seconds(n)`."""
    seen = []

    def step_seconds(backbone, chunk, *_):
        seen.append(len(chunk))
        return seconds(len(chunk))

    monkeypatch.setattr(memory_module, "step_seconds", step_seconds)
    return seen


def test_a_chunk_grows_while_that_pays_and_is_remembered(backbone, work, monkeypatch, cache) -> None:
    settings = merge(FitSettings, {"steps": 10_000})
    seen = timed(monkeypatch, lambda n: max(n, 4) / 1000)  # 4 images cost what 1 does
    assert measure_chunk(backbone, work, settings, CPU, "32-true") == 4
    assert seen == [1, 2, 4, 8]
    assert measure_chunk(backbone, work, settings, CPU, "32-true") == 4
    assert len(seen) == 4  # not measured again
    assert [entry["chunk"] for entry in json.loads(cache.read_text()).values()] == [4]
    assert measure_chunk(backbone, work, settings, CPU, "bf16-mixed") == 4
    assert len(seen) == 8  # another precision is another measurement


def test_nothing_is_measured_where_it_would_not_pay(backbone, work, monkeypatch, cache) -> None:
    seen = timed(monkeypatch, lambda n: n / 1000)
    few = [type(work[0])(work[0].site, work[0].units[:3], work[0].seeds[:3])]
    assert measure_chunk(backbone, few, FitSettings(), CPU, "32-true") == 8
    assert seen == []
    assert not cache.exists()


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"key": 3}', None])
def test_a_broken_cache_is_no_cache(content, cache) -> None:
    if content is not None:
        cache.parent.mkdir(parents=True)
        cache.write_text(content)
    assert remembered.recall("key") is None
    remembered.remember("key", {"chunk": 5})
    remembered.remember("key", {"seconds": 0.5})
    assert remembered.recall("key") == {"chunk": 5, "seconds": 0.5}


def test_no_home_and_no_rights_are_no_errors(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # what it does for a user without a home
    assert remembered.cache_file() is None
    remembered.remember("key", {"chunk": 5})
    assert remembered.recall("key") is None
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))  # a file where the folder should be
    remembered.remember("key", {"chunk": 5})
    assert remembered.recall("key") is None


def test_a_cpu_that_multiplies_bfloat16_is_made_use_of(tmp_path, monkeypatch) -> None:
    settings = merge(FitSettings, SMALL, {"units": ["blocks.0.mlp:0"], "out": str(tmp_path / "run")})
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    assert "trainer.precision=bf16-mixed" in make_plan(Fit(settings)).text()
    half = merge(FitSettings, settings, {"trainer": {"precision": "bf16-mixed"}})
    assert "hint" not in make_plan(Fit(half)).text()
