"""Batches of a fit: which chunk, and which step of it. The data is the image itself."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from pytorch_lightning import LightningDataModule

from vitvis.launch.shards import deal

from .chunks import Chunk, without

__all__ = ["Step", "Steps", "UnitDataModule"]


class Step(NamedTuple):
    """One batch of a fit.

    Attributes:
        chunk: whose images move.
        step: in its chunk, from 0.
        last: whether the chunk ends with it.
        state: of the first batch of a chunk: what the chunk goes on from, empty where it starts anew; None after it.
    """

    chunk: Chunk
    step: int
    last: bool
    state: Mapping[str, Any] | None = None


class Steps:
    """The steps of chunks, one chunk after the other; Lightning's own checkpoints keep its place.

    Args:
        chunks: in their order.
        steps: a chunk.
        resume: returns what a chunk goes on from, with its `step`; nothing where it starts anew, None where it is
            done by now.
        over: says of a chunk and a step whether this is the last one, though more were planned.
    """

    def __init__(
        self,
        chunks: Sequence[Chunk],
        steps: int,
        resume: Callable[[Chunk], Mapping[str, Any] | None] | None = None,
        over: Callable[[Chunk, int], bool] | None = None,
    ) -> None:
        self.chunks = list(chunks)
        self.steps = steps
        self._resume, self._over = resume, over
        self._given = 0

    def __len__(self) -> int:
        return len(self.chunks) * self.steps

    def __iter__(self) -> Iterator[Step]:
        first, start = divmod(self._given, self.steps)
        for number, chunk in enumerate(self.chunks[first:], start=first):
            state = self._resume(chunk) if self._resume is not None and not start else {}
            if state is None:
                continue
            start = int(state.get("step", start))
            for step in range(start, self.steps):
                last = step + 1 == self.steps or (self._over is not None and self._over(chunk, step))
                self._given = (number + 1) * self.steps if last else number * self.steps + step + 1
                yield Step(chunk, step, last, state if step == start else None)
                if last:
                    break
            start = 0

    def state_dict(self) -> dict[str, int]:
        """Return how many steps were given."""
        return {"given": self._given}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on after so many steps."""
        self._given = int(state["given"])


class UnitDataModule(LightningDataModule):
    """Deals chunks out to ranks and gives their steps, all in one epoch: `Trainer(max_epochs=1)`.

    Args:
        chunks: of all ranks, in order.
        steps: a chunk.
        done: images `(address, seed)` that there are already.
        resume: returns what a chunk goes on from, with its `step`; nothing where it starts anew, None where it is
            done by now.
        over: says of a chunk and a step whether this is the last one, though more were planned.

    Attributes:
        chunks: those of this rank that have something to do; of all ranks before `setup`.
    """

    def __init__(
        self,
        chunks: Sequence[Chunk],
        steps: int,
        *,
        done: Collection[tuple[Any, ...]] = (),
        resume: Callable[[Chunk], Mapping[str, Any] | None] | None = None,
        over: Callable[[Chunk, int], bool] | None = None,
    ) -> None:
        super().__init__()
        self.chunks = self._all = list(chunks)
        self.steps = int(steps)
        self.done = done
        self.resume, self.over = resume, over

    @property
    def images(self) -> int:
        """How many images this rank makes."""
        return sum(len(chunk) for chunk in self.chunks)

    def setup(self, stage: str) -> None:
        """Take this rank's share of the chunks, and leave out what is done."""
        rank, world = (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)
        left = (without(chunk, self.done) for chunk in deal(self._all, rank, world))
        self.chunks = [chunk for chunk in left if chunk.units]

    def train_dataloader(self) -> Steps:
        """Return the steps."""
        return Steps(self.chunks, self.steps, self.resume, self.over)

    def transfer_batch_to_device(self, batch: Step, device: torch.device, dataloader_idx: int) -> Step:
        """Leave the batch as it is: it holds no tensor that a step reads."""
        return batch
