"""The label sets of ImageNet: WordNet ids and names, from timm's own tables (no network)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

__all__ = ["imagenet_ids", "label_set", "names_of"]


@cache
def imagenet_ids() -> tuple[str, ...]:
    """Return the 1000 WordNet ids of ImageNet-1k in the order of its labels."""
    from timm.data import ImageNetInfo

    return tuple(ImageNetInfo("imagenet-1k").label_names())


def names_of(ids: Sequence[str]) -> list[str]:
    """Return a short English name for each WordNet id, the id itself where timm knows none."""
    from timm.data import ImageNetInfo

    info = ImageNetInfo("imagenet-1k")
    known = set(info.label_names())
    return [info.label_name_to_description(wnid).split(",")[0] if wnid in known else wnid for wnid in ids]


def label_set(found: Sequence[str]) -> list[str]:
    """Return the label set that WordNet ids found in data belong to: ImageNet-1k, or else just themselves, sorted."""
    return list(imagenet_ids()) if set(found) <= set(imagenet_ids()) else sorted(set(found))
