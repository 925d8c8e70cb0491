"""Running moments, histograms and samples against NumPy over everything at once."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vitvis.search import statistics
from vitvis.search.sample import draw_deciles, keyed_hash, no_sample


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 2**31), st.sampled_from([0.0, 1e4, -1e4]))
def test_moments_of_parts_are_the_moments_of_all(parts: list[int], seed: int, shift: float) -> None:
    values = torch.from_numpy(np.random.default_rng(seed).normal(shift, 1, (sum(parts), 3)).astype(np.float32))
    running, backwards = statistics.no_moments(3), statistics.no_moments(3)
    for part in values.split(parts):
        running = running.add(part)
        backwards = statistics.no_moments(3).add(part).merge(backwards)
    assert torch.equal(running.total, backwards.total) and torch.equal(running.squares, backwards.squares)
    wide = values.double().numpy()
    assert running.count == len(wide)
    np.testing.assert_allclose(running.mean, wide.mean(0), rtol=1e-12)
    np.testing.assert_allclose(running.std, wide.std(0), rtol=1e-9, atol=1e-9)
    assert running.positive.tolist() == (wide > 0).sum(0).tolist()


def test_sums_are_exact_from_the_smallest_to_the_largest_activation() -> None:
    """Against Python's whole numbers and fractions: nothing is rounded before the end."""
    from fractions import Fraction

    values = [1e38, -3.5e-20, 1.0, 2.0**-60, -1e38, 7.25, -1e-3]
    total = statistics.zero_sum(1)
    for value in values:
        statistics.add_exactly(total, torch.tensor([value], dtype=torch.float64))
    assert float(statistics.sums_of(total)) == float(sum(map(Fraction, values)))


def test_a_unit_that_does_not_vary_has_no_spread() -> None:
    running = statistics.no_moments(2)
    for count in (7, 32, 5):
        running = running.add(torch.tensor([[0.1, -1234.567]]).expand(count, 2))
    assert running.std.tolist() == [0.0, 0.0] and running.mean.tolist() == torch.tensor([0.1, -1234.567]).tolist()


def test_bins_are_those_of_a_search_in_the_edges() -> None:
    edges = statistics.bin_edges()
    assert len(edges) == statistics.BINS - 1 and (edges.diff() > 0).all()
    random = torch.randn(4000) * torch.logspace(-5, 5, 4000)
    values = torch.cat([random, edges, edges.nextafter(torch.tensor(torch.inf)), torch.tensor([0.0, -0.0])])
    positive = np.searchsorted(edges.numpy(), values.numpy(), side="right")  # the lower edge belongs to the bin
    negative = np.searchsorted(edges.numpy(), values.numpy(), side="left")  # the upper one does
    np.testing.assert_array_equal(statistics.bin_of(values), np.where(values.numpy() >= 0, positive, negative))


def test_trimmed_histogram_counts_every_image_between_its_edges() -> None:
    values = torch.tensor([[-2.0], [-0.1], [0.0], [0.3], [0.3], [9000.0]])
    counts = torch.zeros(1, statistics.BINS, dtype=torch.int32)
    histogram = statistics.Histogram(counts)
    histogram.add(values)
    found, edges = statistics.trim(histogram.counts[0], -2.0, 9000.0)
    assert sum(found) == 6 and len(edges) == len(found) + 1
    assert found[0] == 1 and found[-1] == 1 and edges[0] <= -2.0 and edges[-1] >= 9000.0
    assert statistics.trim(torch.zeros(statistics.BINS), 0.0, 0.0) == ([], [])


def test_histogram_of_batches_is_that_of_all_at_once() -> None:
    values = torch.randn(700, 5) * torch.tensor([1e-4, 0.1, 1.0, 30.0, 1e4])
    histogram = statistics.Histogram(torch.zeros(5, statistics.BINS, dtype=torch.int32))
    for part in values.split(97):  # some are counted on the way, some wait to the end
        histogram.add(part)
    wanted = [np.bincount(own, minlength=statistics.BINS) for own in statistics.bin_of(values).T.numpy()]
    np.testing.assert_array_equal(histogram.counts, wanted)
    np.testing.assert_array_equal(histogram.counts, wanted)  # reading counts nothing twice


def test_sample_is_the_same_in_any_order_and_on_any_number_of_ranks() -> None:
    values, indices = torch.randn(200, 4), torch.randperm(5000)[:200]
    expected = indices[keyed_hash(indices, 3).argsort()[:32]].sort().values  # the definition, on everything
    shuffled = torch.randperm(200)
    halves = [no_sample(32, 4, 3), no_sample(32, 4, 3)]
    for part in shuffled.split(7):
        for rank, half in enumerate(halves):
            own = part[indices[part] % 2 == rank]
            half.update(values[own], indices[own])
    halves[0].merge(halves[1])
    assert torch.equal(halves[0].indices.sort().values, expected)
    for index, row in zip(halves[0].indices, halves[0].values, strict=True):
        assert torch.equal(row, values[(indices == index).nonzero()[0, 0]])


def test_hashes_are_splitmix64_and_spread_evenly() -> None:
    first = int(keyed_hash(torch.tensor([0]), 0)[0])
    assert first == 0xE220A8397B1DCDAF >> 1  # first output of the reference implementation with seed 0
    hashes = keyed_hash(torch.arange(20000), 1)
    assert len(hashes.unique()) == 20000
    assert abs(float((hashes < 2**62).float().mean()) - 0.5) < 0.02


def test_deciles_are_tenths_of_the_sorted_sample() -> None:
    sample = no_sample(100, 2)
    values = torch.stack([torch.arange(100.0), -torch.arange(100.0)], 1)
    sample.update(values, torch.arange(100) + 1000)
    indices, drawn, deciles = draw_deciles(sample, 3)
    assert deciles.tolist() == [decile for decile in range(10) for _ in range(3)]
    assert torch.equal((drawn[0] // 10).long(), deciles.long())
    assert torch.equal(indices[0] - 1000, drawn[0].long())
    assert torch.equal(((drawn[1] + 99) // 10).long(), deciles.long())
    few = no_sample(100, 2)
    few.update(values[:4], torch.arange(4))
    assert draw_deciles(few, 3)[0].shape == (2, 4)
    assert draw_deciles(no_sample(0, 2), 3)[0].shape == (2, 0)
