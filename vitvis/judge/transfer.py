"""Transfer: does another model see the class in the picture of a class unit?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

__all__ = ["Transfer", "match_classes", "transfer"]


@dataclass(frozen=True)
class Transfer:
    """How a judge's classifier answers to pictures of classes; tensors `[N]`.

    Attributes:
        rank: int64, 1 where the class is the judge's first choice.
        probability: float32, softmax over all the judge's classes.
    """

    rank: Tensor
    probability: Tensor


def transfer(logits: Tensor, classes: Tensor) -> Transfer:
    """Return the rank and the probability that a judge gives to the class of each picture.

    A class whose logit equals that of others ranks in the middle of them, so that a judge that can't decide gives
    nobody a first place.

    Args:
        logits: float `[N, K]`.
        classes: int64 `[N]`, the judge's own output for the class of each picture.

    Raises:
        ValueError: the shapes don't belong together.

    >>> import torch
    >>> found = transfer(torch.tensor([[0.0, 2.0, 1.0]]), torch.tensor([2]))
    >>> found.rank.tolist(), round(found.probability.item(), 3)
    ([2], 0.245)
    """
    if logits.ndim != 2 or classes.shape != logits.shape[:1]:
        raise ValueError(f"logits {tuple(logits.shape)} and classes {tuple(classes.shape)} do not belong together")
    logits = logits.double()
    own = logits.gather(1, classes[:, None])
    above, equal = (logits > own).sum(1), (logits == own).sum(1)
    probability = logits.softmax(1).gather(1, classes[:, None])[:, 0]
    return Transfer(above + (equal + 1) // 2, probability.float())


def match_classes(
    ids: Sequence[str] | None,
    names: Sequence[str] | None,
    judge_ids: Sequence[str] | None,
    judge_names: Sequence[str] | None,
) -> list[int | None]:
    """Return the judge's output for each output of a model, None where it has none.

    WordNet ids decide where both have them, else names: the first of a class's synonyms, without case or punctuation.
    A name that stands for two of the judge's classes (ImageNet has two cranes) matches neither.
    """
    if ids is not None and judge_ids is not None:
        return _look_up(ids, judge_ids)
    if names is not None and judge_names is not None:
        return _look_up([_plain(name) for name in names], [_plain(name) for name in judge_names])
    return [None] * len(ids or names or ())


def _look_up(words: Sequence[str], own: Sequence[str]) -> list[int | None]:
    places: dict[str, int] = {}
    twice = set()
    for place, word in enumerate(own):
        if places.setdefault(word, place) != place:
            twice.add(word)
    return [None if word in twice else places.get(word) for word in words]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", " ", name.split(",")[0].lower()).strip()
