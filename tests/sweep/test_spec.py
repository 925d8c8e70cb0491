"""Sweep files are read as W&B reads them; what W&B refuses is refused here in one line."""

from pathlib import Path

import pytest
import yaml

from vitvis.errors import VitvisError
from vitvis.sweep import main
from vitvis.sweep.check import check_command, check_settings
from vitvis.sweep.spec import read_spec
from vitvis.sweep.study import find_cap

ROOT = Path(__file__).resolve().parents[2]

MINIMAL = "program: x.py\nmethod: random\nparameters:\n  a: {values: [1, 2]}\n"


def spec_of(tmp_path, text):
    path = tmp_path / "s.yaml"
    path.write_text(text)
    return read_spec(path)


def test_a_minimal_file_gets_what_wandb_gives_it(tmp_path):
    spec = spec_of(tmp_path, MINIMAL)
    assert spec.command == ("${env}", "${interpreter}", "${program}", "${args}")
    assert (spec.name, spec.metric.name, spec.run_cap) == ("s", "summary/score", None)


@pytest.mark.parametrize(
    ("item", "distribution"),
    [("{value: 3}", "constant"), ("{values: [1, 2]}", "categorical"), ("{min: 1, max: 4}", "int_uniform"),
     ("{min: 1, max: 4.0}", "uniform"), ("{values: [1, 2], probabilities: [0.2, 0.8]}", "categorical_w_probabilities"),
     ("{distribution: normal}", "normal")],
)  # fmt: skip
def test_the_distribution_is_inferred_as_wandb_does(tmp_path, item, distribution):
    spec = spec_of(tmp_path, f"method: random\nprogram: x.py\nparameters:\n  a: {item}\n")
    assert spec.parameters[0].distribution == distribution


def test_nested_parameters_keep_their_path(tmp_path):
    text = "method: grid\nprogram: x.py\nparameters:\n  g:\n    parameters:\n      a: {values: [1]}\n  b: {value: 2}\n"
    spec = spec_of(tmp_path, text)
    assert [(p.name, p.path, p.varies) for p in spec.parameters] == [("g.a", ("g", "a"), False), ("b", ("b",), False)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MINIMAL.replace("random", "rondom"), "method is 'rondom'"),
        (MINIMAL + "runcap: 3\n", "did you mean 'run_cap'"),
        (MINIMAL + "run_cap: 0\n", "run_cap=0"),
        ("method: random\n", "holds no parameter"),
        (MINIMAL.replace("{values: [1, 2]}", "3"), "a: write 'value: 3'"),
        (MINIMAL.replace("{values: [1, 2]}", "{min: 3, max: 1}"), "min 3 is not below max 1"),
        (MINIMAL.replace("{values: [1, 2]}", "{min: 1e-3, max: 1.0}"), "YAML reads 1e-3 as a text"),
        (MINIMAL.replace("{values: [1, 2]}", "{distribution: log_uniform_values, min: 0, max: 1}"), "min above 0"),
        (MINIMAL.replace("{values: [1, 2]}", "{distribution: unifrom, min: 0, max: 1}"), "did you mean 'uniform'"),
        (MINIMAL.replace("{values: [1, 2]}", "{values: [1], probabilities: [0.5]}"), "add up to 0.5"),
        (MINIMAL.replace("random", "grid").replace("{values: [1, 2]}", "{min: 0.0, max: 1.0}"), "a grid can't hold"),
        (MINIMAL.replace("random", "bayes"), "needs a metric"),
        (MINIMAL + "metric: {name: x, goal: maximise}\n", "did you mean 'maximize'"),
        (MINIMAL + "early_terminate: {type: hyperband}\n", "needs min_iter"),
        ("method: random\nparameters: {a: {value: 1}}\n", "there is no program"),
        ("- 1", "is no sweep file"),
        ("a: [", "can't be read as YAML"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(tmp_path, text, message):
    with pytest.raises(VitvisError) as error:
        spec_of(tmp_path, text)
    assert message in str(error.value) and str(tmp_path / "s.yaml") in str(error.value)


def test_a_missing_file_suggests_a_neighbour(tmp_path):
    (tmp_path / "tv.yaml").write_text(MINIMAL)
    with pytest.raises(VitvisError, match="did you mean"):
        read_spec(tmp_path / "tvv.yaml")


@pytest.mark.parametrize(
    ("block", "first"),
    [("min_iter: 4", 4), ("max_iter: 27, s: 2", 3), ("max_iter: 27, s: 9", 1), ("max_iter: 8, s: 1, eta: 2", 4)],
)
def test_bands_of_early_terminate(tmp_path, block, first):
    """The smallest of W&B's bands `max_iter / eta^i`, i = 1..s, that is at least 1."""
    text = MINIMAL + f"early_terminate: {{type: hyperband, {block}}}\n"
    assert spec_of(tmp_path, text).early_terminate.min_iter == first


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"command": ["python", "${args_no_hyphen}"]}, "no macro '${args_no_hyphen}'; did you mean 'args_no_hyphens'?"),
        ({"command": ["python", "x=${args}"]}, "has to be a word of its own"),
        ({"command": ["python", "${args"]}, "'${args': a macro is not closed"),
        ({"command": None}, "list of words"),
        ({"command": ["python", None]}, "no word"),
        ({"early_terminate": {"type": "hyperband", "min_iter": "two"}}, "min_iter='two' is not a finite number"),
        ({"early_terminate": {"type": "hyperband", "max_iter": 9, "s": "a"}}, "s='a'"),
        ({"early_terminate": {"type": "hyperband", "min_iter": 1, "eta": "x"}}, "eta='x'"),
        ({"early_terminate": {"type": "hyperband", "min_iter": 0}}, "from 1 to"),
        ({"metric": {"name": 3, "goal": "maximize"}}, "metric needs a name"),
        ({"parameters": {"a": {"values": None}}}, "values has to be a list that is not empty"),
        ({"metric": {"name": "a", "target": "high"}}, "metric target='high'"),
        ({"parameters": {"a": {"min": 0.0, "max": float("inf")}}}, "max=inf is not a finite number"),
        ({"parameters": {"a": {"values": [1.0, float("nan")]}}}, "nan is not a finite number"),
        ({"parameters": {"a": {"distribution": "log_uniform", "min": 0, "max": 1e6}}}, "at most 600"),
    ],
)
def test_what_would_fail_later_is_one_line_now(tmp_path, changes, says):
    content = {"program": "p.py", "method": "random", "parameters": {"a": {"value": 1}}, "run_cap": 1}
    path = tmp_path / "a.yaml"
    path.write_text(yaml.safe_dump(content | changes))
    with pytest.raises(VitvisError) as caught:
        read_spec(path)
    assert says in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "parameters",
    [{"a": {"min": 0, "max": 10**18}}, {"a": {"distribution": "q_uniform", "min": 0.0, "max": 1e12}}],
)
def test_a_grid_without_end_is_refused_before_it_is_laid_out(tmp_path, parameters):
    path = tmp_path / "a.yaml"
    path.write_text(yaml.safe_dump({"program": "p.py", "method": "grid", "parameters": parameters}))
    with pytest.raises(VitvisError, match="the most is 100,000"):
        find_cap(read_spec(path), None)


def test_a_random_sweep_without_a_cap_leaves_no_folder(tmp_path, capsys):
    path = tmp_path / "a.yaml"
    path.write_text(
        yaml.safe_dump({"program": "p.py", "method": "random", "parameters": {"a": {"min": 0.0, "max": 1.0}}})
    )
    assert main([str(path), f"out={tmp_path / 'out'}"]) == 2
    assert "run_cap=N" in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"program": "fitt.py"}, "no such file: fitt.py; did you mean 'fit.py'?"),
        ({"command": ["pyhton", "fit.py", "${args}"]}, "no program 'pyhton' to start"),
        ({"command": [3, 4]}, "no program '3' to start"),
        ({"command": ["${program}", "${args}"]}, "no program 'fit.py' to start"),
        ({"command": ["${env}", "${interpreter}", "-m", "${program}", "${args}"], "program": "a.module"}, None),
        ({}, None),
    ],
)
def test_what_a_command_starts_has_to_be_there(tmp_path, monkeypatch, changes, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fit.py").touch()
    content = {"program": "fit.py", "method": "random", "parameters": {"a": {"value": 1}}, "run_cap": 1}
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(content | changes))
    if says is None:
        check_command(read_spec("a.yaml"))
        return
    with pytest.raises(VitvisError) as caught:
        check_command(read_spec("a.yaml"))
    assert says in str(caught.value)


def test_overrides_may_not_undo_what_varies(tmp_path):
    spec = read_spec(ROOT / "sweeps" / "tv.yaml")
    check_settings(spec, ["steps=3"])
    for word in ("regularize.tv=0.1", "regularize={tv: 0.1}"):
        with pytest.raises(VitvisError, match="all trials would be the same"):
            check_settings(spec, [word])
