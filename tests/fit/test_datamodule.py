"""Steps of chunks: dealt out to ranks, without what is done, from where a chunk stands."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from vitvis.backbones import parse_units
from vitvis.fit import UnitDataModule, plan_chunks
from vitvis.fit.datamodule import Steps


@pytest.fixture
def chunks(backbone):
    return plan_chunks(parse_units("blocks.{0,1}.mlp:0-4", backbone.sites), [0], backbone.sites, 2)


def test_every_step_of_every_chunk_in_order(chunks) -> None:
    steps = Steps(chunks, 3)
    given = list(steps)
    assert len(steps) == len(given) == 18
    assert [(batch.chunk, batch.step) for batch in given] == [(chunk, step) for chunk in chunks for step in range(3)]
    assert [batch.last for batch in given] == [False, False, True] * 6
    assert [batch.state is not None for batch in given] == [True, False, False] * 6


def test_a_chunk_goes_on_from_its_step(chunks) -> None:
    state = {"step": 2, "module": "..."}
    given = list(Steps(chunks, 3, lambda chunk: state if chunk is chunks[1] else {}))
    assert [batch.step for batch in given if batch.chunk is chunks[1]] == [2]
    assert next(batch.state for batch in given if batch.chunk is chunks[1]) is state
    assert len(given) == 16


def test_its_own_state_keeps_the_place(chunks) -> None:
    first, second = Steps(chunks, 3), Steps(chunks, 3)
    taken = [batch for batch, _ in zip(first, range(7), strict=False)]
    second.load_state_dict({"given": 5})
    rest = list(second)
    assert [(batch.chunk, batch.step) for batch in [*taken[:5], *rest]] == [
        (chunk, step) for chunk in chunks for step in range(3)
    ]
    assert rest[0].state == {} and first.state_dict()["given"] >= 7
    assert list(second) == []  # a second epoch has nothing to do


@pytest.mark.parametrize("world", [1, 2, 4, 9])
def test_ranks_share_the_chunks_whatever_each_has_seen_done(chunks, world) -> None:
    done = {("blocks.0.mlp:0", 0), ("blocks.0.mlp:1", 0), ("blocks.1.mlp:2", 0)}
    found = []
    for rank in range(world):
        data = UnitDataModule(chunks, 3, done=done if rank % 2 == 0 else ())
        data.trainer = SimpleNamespace(global_rank=rank, world_size=world)  # type: ignore[assignment]
        data.setup("fit")
        assert data.images == sum(len(chunk) for chunk in data.chunks)
        found += [target for chunk in data.chunks for target in chunk.targets]
    wanted = [target for chunk in chunks for target in chunk.targets]
    assert len(set(found)) == len(found) and set(wanted) - done <= set(found) <= set(wanted)
    if world == 1:
        assert set(found) == set(wanted) - done
