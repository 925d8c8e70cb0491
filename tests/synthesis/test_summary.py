"""The score of a run: what it rewards, and that its parts are told."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitvis.errors import VitvisError
from vitvis.runs import RunFolder
from vitvis.synthesis.summary import NOISE_HF, clearness, dataset_best, selectivity, strength, summarize, unit_score

GOOD = {"address": "blocks.0.mlp:1", "status": "ok", "activation": 2.0, "activation_start": 0.1, "rank": 1,
        "site_width": 768, "hf_share": 0.05, "seconds": 1.0}  # fmt: skip


def test_noise_has_no_clearness():
    """The share of white noise, in closed form, is that of a drawn image."""
    image = np.random.default_rng(0).standard_normal((256, 256))
    power = np.abs(np.fft.fft2(image)) ** 2
    radius = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256)[None])
    assert power[radius > 0.25].sum() / power.sum() == pytest.approx(NOISE_HF, abs=0.01)
    assert clearness(NOISE_HF) == pytest.approx(0) and clearness(0.03) == clearness(0.12) == 1


def test_more_activation_than_the_best_photo_is_not_better():
    assert strength(3.0, best=1.5) == strength(1.5, best=1.5) == 1 and strength(0.75, best=1.5) == 0.5
    noise = GOOD | {"activation": 20.0, "hf_share": 0.6}
    assert unit_score(noise, 1.0) < unit_score(GOOD | {"activation": 1.0}, 1.0)


@given(st.integers(2, 4096), st.integers(1, 4095))
def test_selectivity_falls_with_rank(width, rank):
    assert selectivity(1, width) == 1 and selectivity(width, width) == pytest.approx(0, abs=1e-9)
    assert selectivity(rank + 1, width) <= selectivity(rank, width)


@given(st.floats(-5, 50), st.floats(-1, 5), st.none() | st.floats(0.01, 9), st.integers(1, 768), st.floats(0, 1))
def test_a_score_is_a_share_and_never_falls_with_activation(activation, start, best, rank, hf):
    record = GOOD | {"activation": activation, "activation_start": start, "rank": rank, "hf_share": hf}
    assert 0 <= unit_score(record, best) <= unit_score(record | {"activation": activation + 1}, best) <= 1


def test_a_dead_unit_counts_zero_and_stays_in_the_mean():
    dead = GOOD | {"status": "dead", "activation": 0.0}
    broken = GOOD | {"status": "failed", "activation": math.nan, "hf_share": None, "rank": None}
    best = {GOOD["address"]: 1.0}
    assert summarize([GOOD, dead], best)["score"] == pytest.approx(unit_score(GOOD, 1.0) / 2)
    summary = summarize([GOOD, dead, broken, GOOD], best)
    assert (summary["dead_share"], summary["failed_share"], summary["units"]) == (0.25, 0.25, 4)
    assert summary["relative_activation"] == 2.0 and summary["activation"] == 2.0
    assert all(math.isfinite(value) for value in summary.values())


def test_an_empty_run_has_a_score():
    assert summarize([])["score"] == 0


def test_best_comes_from_a_search_run(tmp_path):
    record = {"address": "b:1", "strongest_activation": [3.0, 2.0], "weakest_activation": [-0.5, -0.2]}
    with RunFolder.open(tmp_path / "s", kind="search", settings={}, identity={}) as folder:
        folder.write_shard("0", [record])
    assert dataset_best(tmp_path / "s") == {"b:1": 3.0, "-b:1": 0.5}
    with RunFolder.open(tmp_path / "f", kind="fit", settings={}, identity={}):
        pass
    with pytest.raises(VitvisError, match="no folder of vitvis.search"):
        dataset_best(tmp_path / "f")
