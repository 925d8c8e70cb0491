"""Draws have W&B's distributions: quantiles against SciPy, by the formulas of W&B's `sweeps` package (params.py)."""

import math

import numpy as np
import pytest

optuna = pytest.importorskip("optuna")
stats = pytest.importorskip("scipy.stats")

from vitvis.sweep.parameters import read_parameters  # noqa: E402
from vitvis.sweep.space import decode, distribution_of, grid_points, grid_size  # noqa: E402

REFERENCES = {
    "uniform": ({"min": 2.0, "max": 5.0}, lambda u: stats.uniform.ppf(u, 2, 3)),
    "log_uniform": ({"min": -3.0, "max": 1.0}, lambda u: np.exp(stats.uniform.ppf(u, -3, 4))),
    "log_uniform_values": ({"min": 1e-4, "max": 10.0}, lambda u: stats.loguniform.ppf(u, 1e-4, 10)),
    "inv_log_uniform_values": ({"min": 0.1, "max": 10.0}, lambda u: stats.loguniform.ppf(u, 0.1, 10)),
    "inv_log_uniform": ({"min": -1.0, "max": 2.0}, lambda u: np.exp(-stats.uniform.ppf(1 - u, -1, 3))),
    "normal": ({"mu": 2.0, "sigma": 3.0}, lambda u: stats.norm.ppf(u, 2, 3)),
    "log_normal": ({"mu": 0.5, "sigma": 0.5}, lambda u: stats.lognorm.ppf(u, s=0.5, scale=math.exp(0.5))),
    "beta": ({"a": 2.0, "b": 5.0}, lambda u: stats.beta.ppf(u, 2, 5)),
    "q_uniform": ({"min": 0, "max": 10, "q": 2}, lambda u: np.round(stats.uniform.ppf(u, 0, 10) / 2) * 2),
    "q_normal": ({"mu": 0.0, "sigma": 1.0, "q": 0.5}, lambda u: np.round(stats.norm.ppf(u) / 0.5) * 0.5),
    "q_log_uniform_values": (
        {"min": 1, "max": 100, "q": 5},
        lambda u: np.round(stats.loguniform.ppf(u, 1, 100) / 5) * 5,
    ),
    "int_uniform": ({"min": 1, "max": 4}, lambda u: stats.randint.ppf(u, 1, 5)),
}  # fmt: skip


def parameter_of(**options):
    return read_parameters({"a": options}, "s.yaml")[0]


def draw(parameters, count):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    space = {parameter.name: distribution_of(parameter) for parameter in parameters}
    return [
        {p.name: decode(p, trial.params[p.name]) for p in parameters}
        for trial in (study.ask(space) for _ in range(count))
    ]


@pytest.fixture(scope="module")
def samples():
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    block = {name: {"distribution": name, **options} for name, (options, _) in REFERENCES.items()}
    return draw(read_parameters(block, "s.yaml"), 1500)


@pytest.mark.parametrize("distribution", REFERENCES)
def test_quantiles_of_draws(distribution, samples):
    """The empirical distribution stays within the 99.99 % band of Dvoretzky, Kiefer and Wolfowitz."""
    drawn = np.sort([sample[distribution] for sample in samples])
    reference = REFERENCES[distribution][1]
    band = math.sqrt(math.log(2 / 1e-4) / (2 * len(drawn)))
    for u in (0.1, 0.25, 0.5, 0.75, 0.9):
        low, high = np.quantile(drawn, [max(0, u - band), min(1, u + band)], method="nearest")
        assert low - 1e-9 <= reference(u) <= high + 1e-9


def test_probabilities_are_respected_and_any_value_can_be_one():
    parameter = parameter_of(values=[[1, 2], None, "c", {"d": 1}], probabilities=[0.5, 0.25, 0.25, 0.0])
    drawn = [sample["a"] for sample in draw([parameter], 800)]
    assert abs(drawn.count([1, 2]) / 800 - 0.5) < 0.08 and {"d": 1} not in drawn
    assert decode(parameter, 1 - 1e-9) == "c"


@pytest.mark.parametrize(("step", "kind"), [(2, int), (0.1, float)])
def test_quantised_values_are_whole_where_the_step_is(step, kind):
    value = decode(parameter_of(distribution="q_uniform", min=0, max=10, q=step), 3.14159)
    assert type(value) is kind and value == (4 if kind is int else 3.1)


def test_a_grid_is_the_product_in_the_order_of_the_file():
    block = {"b": {"values": ["x", "y"]}, "c": {"value": 1}, "a": {"min": 1, "max": 2},
             "q": {"distribution": "q_uniform", "min": 0.0, "max": 0.3, "q": 0.1}}  # fmt: skip
    parameters = read_parameters(block, "s.yaml")
    points = grid_points(parameters, 100)
    assert grid_size(parameters) == len(points) == 2 * 2 * 3
    assert list(points[0]) == ["b", "a", "q"] and [point["q"] for point in points[:3]] == [0.0, 0.1, 0.2]
