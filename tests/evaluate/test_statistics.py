from __future__ import annotations

import numpy as np
import pytest
import torch

from vitvis.evaluate.bootstrap import interval, resampled_means
from vitvis.evaluate.hits import HitTable
from vitvis.evaluate.scores import score_rows, sort_rows, topk_hits
from vitvis.evaluate.statistics import accuracy_rows, box_size_rows, class_rows, difference_rows


def test_hits_against_a_plain_loop():
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(50, 11, generator=generator), torch.randint(0, 11, (50,), generator=generator)
    for top_k in (1, 5):
        hits = topk_hits(logits, labels, top_k)
        for row, label, hit in zip(logits.tolist(), labels.tolist(), hits.tolist(), strict=True):
            assert hit == (sum(value > row[label] for value in row) < top_k)


def test_top5_of_fewer_than_five_classes():
    assert topk_hits(torch.randn(7, 3), torch.zeros(7, dtype=torch.long), 5).tolist() == [1.0] * 7


def test_positions_are_scored_one_by_one():
    logits, labels = torch.randn(4, 6, 9), torch.arange(4)
    hits = topk_hits(logits, labels, 1)
    assert (hits == (logits.argmax(-1) == labels[:, None])).all()
    rows, positions = score_rows(torch.arange(4), torch.zeros(4), labels, torch.ones(4), logits)
    assert torch.allclose(rows[:, 4].float(), hits.mean(1)) and torch.equal(positions[:, 1:7].float(), hits)


def test_rows_come_in_order_whatever_the_order_of_batches():
    logits, labels = torch.randn(10, 5), torch.randint(0, 5, (10,))
    results = []
    for order in (torch.arange(10), torch.randperm(10)):
        parts = [
            score_rows(part, part % 2, labels[part], torch.ones(len(part)), logits[part]) for part in order.split(3)
        ]
        results.append(sort_rows([rows for rows, _ in parts], 7, 2))
        assert sort_rows([positions for _, positions in parts], 1, 1).shape == (0, 1)
    assert torch.equal(*results)


def test_bootstrap_interval_against_the_closed_form():
    hits = (np.arange(2000) < 700).astype(float)[:, None]
    low, high = interval(resampled_means(hits, samples=20_000, seed=1)[:, 0])
    spread = 1.959964 * np.sqrt(0.35 * 0.65 / 2000)
    assert low == pytest.approx(0.35 - spread, abs=6e-4) and high == pytest.approx(0.35 + spread, abs=6e-4)


def test_bootstrap_against_scipy():
    from scipy.stats import bootstrap

    rng = np.random.default_rng(3)
    first = (rng.random(400) < 0.7).astype(float)
    second = np.where(rng.random(400) < 0.8, first, 1 - first)
    means = resampled_means(np.stack([first, second], 1), samples=20_000, seed=0)
    ours = interval(means[:, 0] / means[:, 1])
    theirs = bootstrap(
        (first, second), lambda a, b, axis: a.mean(axis) / b.mean(axis), paired=True, method="percentile",
        n_resamples=20_000, rng=np.random.default_rng(0), vectorized=True,
    ).confidence_interval  # fmt: skip
    assert ours == pytest.approx(tuple(theirs), abs=4e-3)


def test_bootstrap_with_missing_measurements_and_many_columns():
    rng = np.random.default_rng(0)
    hits = (rng.random((300, 14)) < 0.5).astype(float)  # too many columns to count digits
    hits[:150, 3] = np.nan
    means = resampled_means(hits, samples=4000)
    assert np.allclose(means.mean(0), np.nanmean(hits, 0), atol=5e-3)
    assert means[:, 3].std() > 1.3 * means[:, 2].std()  # half as many images: about sqrt(2) wider
    assert np.allclose(means[:, :3], resampled_means(hits, samples=4000)[:, :3])  # seeded


def hit_table(**columns):
    hits = {}
    for name, values in columns.items():
        model, variant = name.split("__")
        for metric in ("top1", "top5"):
            hits[model, variant.replace("_", "/"), metric] = np.asarray(values, float)
    count = len(values)
    models = list(dict.fromkeys(key[0] for key in hits))
    variants = {model: list(dict.fromkeys(key[1] for key in hits if key[0] == model)) for model in models}
    return HitTable(hits, np.arange(count) % 2, np.linspace(0, 1, count), models, variants)


def test_normalised_accuracy_is_masked_over_full():
    table = hit_table(a__full=[1, 1, 1, 1, 0], a__background_black=[1, 0, 0, 0, 0])
    full, background = accuracy_rows(table)
    assert (full["top1"], background["top1"], background["normalized_top5"]) == (80.0, 20.0, 25.0)
    assert (background["variant"], background["fill"], background["n"]) == ("background", "black", 5)
    assert background["normalized_top5_low"] < 25 < background["normalized_top5_high"]
    assert "normalized_top5" not in full


def test_a_difference_is_paired():
    """Two models that are right on the same images but for one: unpaired intervals would be far wider."""
    first = (np.arange(1000) % 2).astype(float)
    second = first.copy()
    second[1] = 0
    (row,) = difference_rows(hit_table(a__full=first, b__full=second))
    assert row["top1"] == pytest.approx(0.1) and 0 <= row["top1_low"] and row["top1_high"] <= 0.4


def test_classes_and_sizes_by_hand():
    table = hit_table(a__full=[1, 0, 1, 0, 0, 0, 1, 0, 1, 1])
    even, odd = class_rows(table, ["even", "odd"])
    assert (even["name"], even["n"], even["top1"], odd["top1"]) == ("even", 5, 80.0, 20.0)
    sizes = box_size_rows(table, (0.3, 0.7))
    assert [(row["size"], row["n"]) for row in sizes] == [("small", 3), ("medium", 4), ("large", 3)]
    assert [round(row["top1"], 4) for row in sizes] == [66.6667, 25.0, 66.6667]


def test_a_model_that_is_never_right_has_no_normalised_accuracy():
    rows = accuracy_rows(hit_table(a__full=[0, 0], a__foreground_black=[0, 0]))
    assert np.isnan(rows[1]["normalized_top5"])


def test_measurements_may_be_negative_and_absent():
    values = np.random.default_rng(0).normal(size=(40, 2))
    values[:15, 0] = values[15:25, 1] = np.nan
    moved = resampled_means(values + 9, samples=500) - 9  # a shift of all moves each mean by as much
    assert np.allclose(resampled_means(values, samples=500), moved) and (values[15:] < 0).any()


def test_intervals_of_a_class_are_those_of_the_binomial():
    """Every second image is of class 0; the classes are right about others, and differ between top-1 and top-5."""
    scipy_stats = pytest.importorskip("scipy.stats")
    count = np.arange(800) // 2
    right = {"top1": (0.25, 0.6), "top5": (0.7, 0.9)}  # of class 0 and of class 1
    label = np.arange(800) % 2
    hits = {("a", "full", metric): (count < 400 * np.choose(label, rates)) * 1.0 for metric, rates in right.items()}
    table = HitTable(hits, label, np.ones(800), ["a"], {"a": ["full"]})
    rows = class_rows(table, ["first", "second"], samples=20_000)
    assert [row["n"] for row in rows] == [400, 400]
    for metric, rates in right.items():
        for row, rate in zip(rows, rates, strict=True):
            low, high = scipy_stats.binom.interval(0.95, 400, rate)
            assert row[metric] == pytest.approx(100 * rate)
            assert row[f"{metric}_low"] == pytest.approx(low / 4, abs=0.26)  # one image of 400, as percentiles jump
            assert row[f"{metric}_high"] == pytest.approx(high / 4, abs=0.26)


def test_missing_images_widen_the_interval_of_a_class_and_means_over_tokens_have_none():
    values = np.tile([1.0, 0.0], 200)
    values = np.repeat(values, 2)  # both classes are right about every second image
    missing = np.where(np.arange(800) < 600, np.nan, values)
    table = hit_table(a__full=values, b__full=missing, c__full=values / 3)
    spread = {row["model"]: row.get("top1_high", np.nan) - row.get("top1_low", np.nan) for row in class_rows(table, [])}
    assert spread["b"] == pytest.approx(2 * spread["a"], rel=0.15)  # a quarter of the images: twice as wide
    assert np.isnan(spread["c"])


def test_draws_are_the_same_however_many_fit_into_memory(monkeypatch):
    values = np.random.default_rng(0).normal(size=(30, 3))
    whole = resampled_means(values, samples=50, seed=4)
    monkeypatch.setattr("vitvis.evaluate.bootstrap._CELLS", 100)
    assert np.array_equal(resampled_means(values, samples=50, seed=4), whole)
