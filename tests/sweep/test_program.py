"""Every file in `sweeps/` is one that W&B takes and that `vitvis.fit` understands, and the whole thing runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from vitvis.config.core import merge, to_container
from vitvis.errors import VitvisError
from vitvis.fit import COMMAND
from vitvis.fit.settings import FitSettings
from vitvis.runs.summary import summarize
from vitvis.sweep import main
from vitvis.sweep.check import check_settings, drives_fit, extremes
from vitvis.sweep.command import MACROS, assemble, expand
from vitvis.sweep.parameters import DISTRIBUTIONS
from vitvis.sweep.spec import read_spec

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "sweeps").glob("*.yaml"))
SCHEMA = Path(__file__).parent / "wandb" / "schema.json"
TINY = ["model=vit_tiny_patch16_224", "weights=none", "image_size=32", "units=blocks.{0,1}.mlp:3,17", "steps=2",
        "copies=1"]  # fmt: skip


@pytest.fixture(scope="session")
def validator():
    """W&B's own schema, with the formats that it defines."""
    jsonschema = pytest.importorskip("jsonschema")
    checker = jsonschema.FormatChecker()
    checker.checks("float")(lambda value: isinstance(value, float))
    checker.checks("integer")(lambda value: isinstance(value, int))
    return jsonschema.Draft7Validator(json.loads(SCHEMA.read_text()), format_checker=checker)


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def spec(request):
    return read_spec(request.param)


def first_and_last(spec):
    """Return two trials' values, with every parameter at its first and at its last extreme."""
    values = {parameter.name: list(extremes(parameter)) for parameter in spec.parameters}
    return [{name: found[place] for name, found in values.items()} for place in (0, -1)]


def test_the_five_sweeps_are_there():
    assert {path.stem for path in FILES} >= {"tv", "augment", "image", "copies-steps", "bayes"}


def test_wandb_takes_it(spec, validator):
    assert [error.message for error in validator.iter_errors(yaml.safe_load(spec.path.read_text()))] == []


def test_each_key_is_a_setting_and_each_value_merges(spec):
    assert drives_fit(spec)
    check_settings(spec)
    for parameter in spec.varied:
        before = to_container(merge(FitSettings))
        results = [to_container(merge(FitSettings, [f"{parameter.name}={value}"])) for value in extremes(parameter)]
        assert any(result != before for result in results), f"{parameter.name} changes nothing"


def test_the_metric_is_one_that_fit_logs(spec):
    record = {"address": "a:0", "status": "ok", "activation": 1.0, "rank": 1, "site_width": 9, "hf_share": 0.1,
              "judge": 0.5}  # fmt: skip
    assert spec.metric.name in {f"summary/{name}" for name in summarize([record])}
    assert spec.metric.goal == "maximize"


@pytest.mark.parametrize("macro", MACROS)
def test_each_macro_passes_the_real_parser(spec, macro, tmp_path):
    """`${args_no_boolean_flags}` says nothing of what is false, so that form means a default of false."""
    command = [f"${{{macro}}}" if word == "${args_no_hyphens}" else word for word in spec.command]
    assert command != list(spec.command) or macro == "args_no_hyphens"
    for values in first_and_last(spec):
        arguments = assemble(values, spec.parameters)
        words = expand(command, arguments, program=spec.program, json_file=tmp_path / "c.json")
        settings = COMMAND.read(words[words.index("vitvis.fit") + 1 :])[0]
        plain = [word for word in spec.command[spec.command.index("vitvis.fit") + 1 :] if not word.startswith("${")]
        assert settings == merge(FitSettings, plain, [f"{name}={value}" for name, value in arguments.items()])


def test_tv_is_as_large_as_promised():
    spec = read_spec(ROOT / "sweeps" / "tv.yaml")
    (weights,) = (parameter.options["values"] for parameter in spec.varied)
    assert len(weights) >= 6
    from vitvis.config.addresses import split_addresses

    units = next(word for word in spec.command if word.startswith("units=")).removeprefix("units=")
    assert split_addresses(units) == ["blocks.{0,3,6,9}.mlp:3,17,42,101"]


@pytest.mark.parametrize(
    ("key", "item", "message"),
    [
        ("regularize.tvv", {"values": [1.0]}, "did you mean 'regularize.tv'"),
        ("regularize.tv", {"values": [1.0, -1.0]}, "at least 0"),
        ("optim.lr", {"value": "fast"}, "optim.lr"),
        ("optim", {"parameters": {"lrr": {"value": 1.0}}}, "did you mean 'optim.lr'"),
    ],
)
def test_a_wrong_key_or_value_is_found_before_anything_runs(key, item, message, tmp_path, capsys):
    content = {"method": "grid", "program": "vitvis/fit/__main__.py", "parameters": {key: item}}
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(content))
    assert main([str(tmp_path / "s.yaml"), f"out={tmp_path / 'out'}"]) == 2
    error = capsys.readouterr().err
    assert message in error and "s.yaml" in error and not (tmp_path / "out").exists()


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_what_is_read_here_wandb_reads_too(distribution, validator, tmp_path):
    needed, optional = DISTRIBUTIONS[distribution]
    examples = {"value": 1, "values": [1, 2], "probabilities": [0.5, 0.5], "min": 1, "max": 3}
    item = {key: examples[key] for key in needed} | optional | {"distribution": distribution}
    content = {"method": "random", "program": "p.py", "parameters": {"a": item}}
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(content))
    assert read_spec(tmp_path / "s.yaml").parameters[0].distribution == distribution
    assert list(validator.iter_errors(content)) == []
    del content["parameters"]["a"]["distribution"]
    content["parameters"]["a"]["nonsense"] = 1
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(VitvisError):
        read_spec(tmp_path / "s.yaml")
    assert list(validator.iter_errors(content))


def clean_environment(tmp_path, **more):
    """No key, no home, no network: whatever asks for one of them fails or hangs."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH") if name in os.environ}
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    return {**kept, "HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT),
            "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", **more}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("mode", [{"WANDB_MODE": "offline"}, {}], ids=["offline", "no-key-no-network"])
def test_the_command_of_an_agent_runs_offline_and_asks_nothing(mode, tmp_path):
    """The words and the environment of `Agent._command_run`, stdin closed as the agent does."""
    spec = read_spec(ROOT / "sweeps" / "tv.yaml")
    words = expand(spec.command, {"regularize.tv": 1.0e-4}, program=spec.program, interpreter=sys.executable)
    config = tmp_path / "wandb" / "sweep-abc" / "config-run1.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("wandb_version: 1\n\nregularize.tv:\n  value: 0.0001\n")
    environment = clean_environment(tmp_path, WANDB_RUN_ID="run1", WANDB_SWEEP_ID="abc", WANDB_DIR=str(tmp_path),
                                    WANDB_SWEEP_PARAM_PATH=str(config), **mode)  # fmt: skip
    done = subprocess.run([*words, *TINY], cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, timeout=900,
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "out").iterdir()
    synced = list(folder.glob("wandb/offline-run-*/run-*.wandb"))
    assert len(synced) == 1 and synced[0].stat().st_size > 0
    assert b"summary/score" in synced[0].read_bytes()
    assert json.loads((folder / "summary.json").read_text())["units"] == 4
    assert "summary/score" in (folder / "metrics.csv").read_text().splitlines()[0]


@pytest.mark.slow
def test_a_sweep_of_real_fits(tmp_path):
    """Two weights, at once, no account and no network, down to a recipe that `--config` takes."""
    out = tmp_path / "out"
    words = [sys.executable, "-m", "vitvis.sweep", str(ROOT / "sweeps" / "tv.yaml"), f"out={out}", "run_cap=2"]
    done = subprocess.run([*words, "devices=cpu", "workers=2", "--", *TINY], cwd=ROOT, env=clean_environment(tmp_path),
                          stdin=subprocess.DEVNULL, timeout=900, capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((out / "summary.json").read_text())
    assert [trial["state"] for trial in summary["trials"]] == ["complete"] * 2
    best = summary["best"]
    assert {"score", "strength", "selectivity", "clearness", "hf_share", "dead_share"} <= set(best["summary"])
    settings = merge(FitSettings, out / "best.yaml")
    assert settings.regularize.tv == best["settings"]["regularize.tv"] and settings.steps == 2
    assert not list(out.rglob("*.wandb"))
    page = (out / "index.html").read_text()
    assert "atlas/index.html" in page and (out / "atlas" / "index.html").is_file()
    assert "All 4 units and seeds are in all 2 finished runs" in page
