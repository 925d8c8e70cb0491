"""From a model's classes to the classes of the data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from vitvis.bundled import BUNDLED, class_ids
from vitvis.data.classes import is_wordnet, read_words
from vitvis.data.source import Source
from vitvis.errors import VitvisError

if TYPE_CHECKING:
    from vitvis.backbones import Backbone

__all__ = ["LabelMap", "make_label_map", "output_ids"]


@dataclass(frozen=True)
class LabelMap:
    """Which class of the data each output of a model stands for.

    Attributes:
        groups: A class of the data for each output, -1 for outputs that are left out; None where both are the same.
        classes: Classes after the mapping. One more than the data has where outputs outside of it compete (ImageNet-9).
    """

    groups: tuple[int, ...] | None
    classes: int

    def reduce(self, logits: Tensor) -> Tensor:
        """Return logits `[N, outputs]` as `[N, classes]`: the largest of each class's outputs, -inf without one."""
        if self.groups is None:
            return logits
        groups = torch.tensor(self.groups, device=logits.device)
        kept = groups >= 0
        reduced = logits.new_full((len(logits), self.classes), float("-inf"))
        index = groups[kept].expand(len(logits), -1)
        return reduced.scatter_reduce(1, index, logits[:, kept], reduce="amax")


def make_label_map(backbone: Backbone, source: Source, labels: str = "auto") -> LabelMap:
    """Match a model's classes with those of the data.

    Args:
        backbone: The model.
        source: The data.
        labels: `auto`: the same classes where their number is the same, else by WordNet id. `same`: label by label.
            Else a file: JSON `{"output": class}` (ImageNet-9's `in_to_in9.json`; -1 means none of the classes, and
            predicting it is wrong), or lines of `class output` (several outputs a class are welcome).

    Raises:
        VitvisError: the classes can't be matched.
    """
    outputs, classes = backbone.num_classes, len(source.classes)
    if outputs == 0:
        raise VitvisError(f"model {backbone.name}: has no classifier (0 classes), so there is no accuracy to measure")
    if labels not in ("auto", "same"):
        return _read_map(Path(labels), outputs, classes)
    if labels == "same" or outputs == classes:
        highest = int(source.labels.max(initial=-1))
        if highest >= outputs:
            raise VitvisError(f"model {backbone.name}: has {outputs} classes, but the data has a label {highest}")
        return _merge(source, outputs)
    ids = output_ids(backbone)
    own = source.classes.ids
    if ids is None or own is None:
        raise VitvisError(
            f"model {backbone.name}: has {outputs} classes and the data {classes}, and no WordNet ids tell"
            " which is which; give labels=FILE with lines of 'class output'"
        )
    label_of = {wnid: label for label, wnid in enumerate(own)}
    groups = tuple(label_of.get(source.classes.merged.get(wnid, wnid), -1) for wnid in ids)
    missing = set(np.unique(source.labels[source.labels >= 0]).tolist()) - set(groups)
    if missing:
        names = ", ".join(own[label] for label in sorted(missing)[:3])
        raise VitvisError(
            f"model {backbone.name}: can't name {len(missing)} classes of the data ({names}...);"
            " choose a model trained on them or give labels=FILE"
        )
    return LabelMap(groups, classes)


def _merge(source: Source, outputs: int) -> LabelMap:
    """Return the map of a model that has the data's own classes: label by label, but for classes the data merges."""
    classes = source.classes
    if not classes.merged or classes.ids is None:
        return LabelMap(None, outputs)
    label_of = {wnid: label for label, wnid in enumerate(classes.ids)}
    counts_as = {label_of[old]: label_of[new] for old, new in classes.merged.items()}
    return LabelMap(tuple(counts_as.get(label, label) for label in range(outputs)), outputs)


def output_ids(backbone: Backbone) -> Sequence[str] | None:
    """Return the WordNet ids of a model's outputs, where they are known: ours, or timm's by the number of classes."""
    from timm.data import ImageNetInfo, infer_imagenet_subset

    if backbone.name in BUNDLED:
        return class_ids(backbone.name)
    names = backbone.class_names
    if names and all(map(is_wordnet, names)):
        return names
    subset = infer_imagenet_subset({"num_classes": backbone.num_classes})
    return ImageNetInfo(subset).label_names() if subset else None


def _read_map(path: Path, outputs: int, classes: int) -> LabelMap:
    path = path.expanduser()
    if not path.is_file():
        raise VitvisError(f"labels={path}: no such file (labels: auto, same, or a file)")
    try:
        if path.suffix == ".json":
            pairs = [(int(output), int(label)) for output, label in json.loads(path.read_text()).items()]
        else:
            pairs = [(int(output), int(row[0])) for row in read_words(path) for output in row[1:]]
    except (ValueError, AttributeError, TypeError, RecursionError, OSError) as error:
        raise VitvisError(f"labels={path}: can't be read ({error})") from None
    rest = any(label == -1 for _, label in pairs)
    groups = [-1] * outputs
    for output, label in pairs:
        if not 0 <= output < outputs or label >= classes:
            raise VitvisError(
                f"labels={path}: output {output}, class {label}: beyond {outputs} outputs, {classes} classes"
            )
        groups[output] = classes if label < 0 else label
    if set(range(classes)) - set(groups):
        absent = sorted(set(range(classes)) - set(groups))[0]
        raise VitvisError(f"labels={path}: no output stands for class {absent}")
    return LabelMap(tuple(groups), classes + rest)
