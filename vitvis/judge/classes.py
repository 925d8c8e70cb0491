"""Which of the judge's classes the class units of a run stand for."""

from __future__ import annotations

from collections.abc import Sequence

from vitvis.backbones.backbone import Backbone
from vitvis.data.labels import output_ids
from vitvis.judge.case import Case
from vitvis.judge.eye import Eye
from vitvis.judge.scores import is_class_unit
from vitvis.judge.transfer import match_classes

__all__ = ["classes_of"]


def classes_of(case: Case, eye: Eye) -> tuple[Sequence[int | None] | None, int]:
    """Return the judge's output for each output of the run's model, and how many of the run's class units have none.

    None in place of the outputs where the run's model isn't there, or either model has no classifier.
    """
    wanted = {record["unit"] for record in case.records if is_class_unit(record)}
    if case.backbone is None or not case.backbone.num_classes or eye.head is None:
        return None, len(wanted)
    found = match_classes(*_known(case.backbone), *_known(eye.backbone))
    return found, sum(unit >= len(found) or found[unit] is None for unit in wanted)


def _known(backbone: Backbone) -> tuple[Sequence[str] | None, Sequence[str] | None]:
    return output_ids(backbone), backbone.class_names
