"""Which of the judge's classes the class units of a run stand for."""

from __future__ import annotations

from collections.abc import Sequence

from vitvis.backbones.backbone import Backbone
from vitvis.backbones.eye import Eye
from vitvis.data.labels import output_ids
from vitvis.judge.case import Case
from vitvis.judge.scores import is_class_unit
from vitvis.judge.transfer import match_classes

__all__ = ["classes_of", "match_outputs"]


def classes_of(case: Case, eye: Eye) -> tuple[Sequence[int | None] | None, int]:
    """Return the judge's output for each output of the run's model, and how many of the run's class units have none.

    None in place of the outputs where the run's model isn't there, or either model has no classifier.
    """
    wanted = {record["unit"] for record in case.records if is_class_unit(record)}
    found = None if case.backbone is None else match_outputs(case.backbone, eye)
    if found is None:
        return None, len(wanted)
    return found, sum(unit >= len(found) or found[unit] is None for unit in wanted)


def match_outputs(backbone: Backbone, eye: Eye) -> Sequence[int | None] | None:
    """Return the judge's output for each output of a model; None where either has no classifier."""
    if not backbone.num_classes or eye.head is None:
        return None
    return match_classes(*_known(backbone), *_known(eye.backbone))


def _known(backbone: Backbone) -> tuple[Sequence[str] | None, Sequence[str] | None]:
    return output_ids(backbone), backbone.class_names
