"""The study: what TPE finds that random draws do not, through the runner's own ask, values and tell."""

import math
from statistics import fmean

import pytest
import yaml

pytest.importorskip("optuna")

from vitvis.sweep.spec import read_spec  # noqa: E402
from vitvis.sweep.study import SweepStudy  # noqa: E402

PARAMETERS = {
    "optim.lr": {"distribution": "log_uniform_values", "min": 1.0e-4, "max": 1.0},
    "image.decay": {"min": 0.0, "max": 2.0},
    "objective.pre": {"values": [0.0, 0.5, 1.0]},
    "steps": {"value": 60},
}


def objective(values):
    """One hill, at a learning rate of 0.03 and a decay of 1.2, with pre = 1; at most 1."""
    distance = (math.log10(values["optim.lr"] / 0.03) / 4) ** 2 + ((values["image.decay"] - 1.2) / 2) ** 2
    return math.exp(-12 * distance) - 0.3 * (1 - values["objective.pre"])


def run_study(folder, method, seed, count=24):
    """Return the objective of each trial, one after the other."""
    folder.mkdir()
    content = {"method": method, "program": "p.py", "parameters": PARAMETERS, "run_cap": count}
    path = folder / "s.yaml"
    path.write_text(yaml.safe_dump(content | {"metric": {"name": "summary/score", "goal": "maximize"}}))
    study = SweepStudy(read_spec(path), folder, seed=seed)
    found = []
    while (trial := study.ask()) is not None:
        values = study.values(trial)
        assert values["steps"] == 60 and 1e-4 <= values["optim.lr"] <= 1 and 0 <= values["image.decay"] <= 2
        found.append(objective(values))
        study.study.tell(trial, found[-1])
    return found


def test_bayes_finds_a_better_region_than_random(tmp_path):
    """Over three seeds: the last eight of 24 trials, and the best of all."""
    random, bayes = ([run_study(tmp_path / f"{method}{seed}", method, seed) for seed in range(3)]
                     for method in ("random", "bayes"))  # fmt: skip
    assert all(len(found) == 24 for found in random + bayes)
    late_random, late_bayes = (fmean(fmean(found[16:]) for found in runs) for runs in (random, bayes))
    assert late_bayes > late_random + 0.15
    assert fmean(max(found) for found in bayes) > fmean(max(found) for found in random)
    assert random != bayes and random[0] != random[1]
