"""The streaming top-k against a slow full sort."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vitvis.search import topk

# few distinct values make ties; both zeros, infinities and NaN are in
VALUES = st.sampled_from(
    [-math.inf, -3.5, -1.0, -1e-38, -0.0, 0.0, 1e-45, 0.25, 1.0, 1.0000001, 7e30, math.inf, math.nan]
)


def slow(values: np.ndarray, indices: list[int], k: int, largest: bool) -> list[list[tuple[float, int]]]:
    """Sort everything, unit by unit: activation first, dataset index second, NaN nowhere."""
    ranked = []
    for column in values.T:
        pairs = [(float(value), index) for value, index in zip(column, indices, strict=True) if not math.isnan(value)]
        ranked.append(sorted(pairs, key=lambda pair: (-pair[0] if largest else pair[0], pair[1]))[:k])
    return ranked


def read(top: topk.TopK) -> list[list[tuple[float, int]]]:
    values, indices, _ = topk.decode(top)
    return [
        [(v, i) for v, i in zip(row, places, strict=True) if i >= 0]
        for row, places in zip(values.tolist(), indices.tolist(), strict=True)
    ]


def held(top: topk.TopK) -> torch.Tensor:
    """Return the dataset index at each place."""
    _, indices, places = topk.decode(top)
    return indices.gather(1, places.argsort(1))


@st.composite
def streams(draw: st.DrawFn) -> tuple[np.ndarray, list[int], list[int], int]:
    images, units = draw(st.integers(1, 24)), draw(st.integers(1, 4))
    values = np.array(draw(st.lists(VALUES, min_size=images * units, max_size=images * units)), dtype=np.float32)
    spread = draw(st.sampled_from([1, 97, topk.MAX_INDEX // 32]))
    order = draw(st.permutations(range(images)))
    cuts = sorted(draw(st.sets(st.integers(1, max(1, images - 1)), max_size=5)))
    return values.reshape(images, units), [place * spread for place in order], cuts, draw(st.integers(1, 8))


@settings(max_examples=150, deadline=None)
@given(streams(), st.booleans())
def test_equals_full_sort_however_the_stream_is_cut_and_ordered(
    stream: tuple[np.ndarray, list[int], list[int], int], largest: bool
) -> None:
    values, indices, cuts, k = stream
    top = topk.empty(values.shape[1], k, largest=largest)
    kept: dict[tuple[int, int], int] = {}  # (unit, place) -> dataset index: what a map buffer would hold
    for part in np.split(np.arange(len(indices)), [cut for cut in cuts if cut < len(indices)]):
        own = torch.tensor([indices[row] for row in part], dtype=torch.int64)
        placed = topk.update(top, torch.from_numpy(values[part]), own)
        for unit, row, place in zip(placed.units.tolist(), placed.rows.tolist(), placed.places.tolist(), strict=True):
            kept[unit, place] = int(own[row])
    assert read(top) == slow(values, indices, k, largest)
    assert all(sorted(row) == list(range(k)) for row in topk.decode(top)[2].tolist())
    assert torch.equal(top.last, top.keys.amin(1))
    assert torch.equal(top.keys.gather(1, top.spot[:, None])[:, 0], top.last)
    for unit, (row, found) in enumerate(zip(topk.decode(top)[2].tolist(), topk.decode(top)[1].tolist(), strict=True)):
        assert [kept[unit, place] for place, index in zip(row, found, strict=True) if index >= 0] == [
            index for index in found if index >= 0
        ]


@settings(max_examples=100, deadline=None)
@given(streams(), st.booleans(), st.integers(1, 3))
def test_merged_ranks_equal_one_rank(
    stream: tuple[np.ndarray, list[int], list[int], int], largest: bool, world: int
) -> None:
    values, indices, _, k = stream
    merged = None
    for rank in range(world):
        own = list(range(rank, len(indices), world))
        part = topk.empty(values.shape[1], k, largest=largest)
        topk.update(part, torch.from_numpy(values[own]), torch.tensor([indices[row] for row in own], dtype=torch.int64))
        if merged is None:
            merged, payload = part, held(part)
            continue
        merged, origin = topk.merge(merged, part)
        payload = torch.cat([payload, held(part)], 1).gather(1, origin)
        assert torch.equal(payload, held(merged))
    assert merged is not None
    assert read(merged) == slow(values, indices, k, largest)


def test_units_whose_best_activation_is_negative_are_ranked() -> None:
    values = torch.tensor([[-0.3], [-0.1], [-0.2]])
    top = topk.empty(1, 2)
    topk.update(top, values, torch.tensor([10, 11, 12]))
    assert read(top) == [[(pytest.approx(-0.1), 11), (pytest.approx(-0.2), 12)]]


def test_batch_that_comes_too_late_for_every_tie_changes_nothing() -> None:
    top = topk.empty(2, 3)
    topk.update(top, torch.full((3, 2), 0.5), torch.arange(3))
    keys = top.keys.clone()
    assert not len(topk.update(top, torch.full((4, 2), 0.5), torch.arange(3, 7)).units)
    assert torch.equal(top.keys, keys)


def test_index_beyond_32_bits_is_refused() -> None:
    with pytest.raises(ValueError, match="have to lie"):
        topk.encode(torch.zeros(1, 1), torch.tensor([topk.MAX_INDEX + 1]))
    top = topk.empty(1, 1)
    topk.update(top, torch.zeros(1, 1), torch.tensor([topk.MAX_INDEX]))
    assert topk.decode(top)[1] == 2**32 - 1
