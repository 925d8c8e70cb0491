"""Sweep files are read as W&B reads them; what W&B refuses is refused here in one line."""

import pytest

from vitvis.errors import VitvisError
from vitvis.sweep.spec import read_spec

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
