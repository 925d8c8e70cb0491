"""Who may judge whom."""

from __future__ import annotations

from collections.abc import Sequence

from vitvis.backbones.eye import Eye
from vitvis.errors import VitvisError
from vitvis.judge.case import Case
from vitvis.judge.settings import JudgeSettings

__all__ = ["check_judges", "check_names", "named_judges"]


def named_judges(settings: JudgeSettings, cases: Sequence[Case]) -> list[tuple[str, str]]:
    """Return name and weights of each judge, before any is loaded."""
    if not settings.judge:
        raise VitvisError("judge=[]: name a model that judges, such as judge=vitvis_resnet")
    weights = settings.weights
    if len(weights) not in (1, len(settings.judge)):
        raise VitvisError(
            f"weights={','.join(weights)}: give one for all, or one for each of {len(settings.judge)} judges"
        )
    pairs = list(zip(settings.judge, weights if len(weights) > 1 else weights * len(settings.judge), strict=True))
    for case in cases:
        about = case.manifest["backbone"]
        for name, own in pairs:
            if name == about["name"] and own == about.get("weights", own):
                raise VitvisError(_same_eye(case, name))
    return pairs


def _same_eye(case: Case, name: str) -> str:
    other = "vitvis_vit" if case.manifest["backbone"]["name"] == "vitvis_resnet" else "vitvis_resnet"
    return (
        f"judge={name}: has made the pictures of {case.path} itself, and would see in them what it was made to see; "
        f"choose another model, such as judge={other}"
    )


def check_judges(case: Case, eyes: Sequence[Eye]) -> None:
    """Refuse a judge that has made the pictures of a run."""
    for eye in eyes:
        if eye.backbone.weights_id == case.weights_id:
            raise VitvisError(_same_eye(case, eye.backbone.name))


def check_names(eyes: Sequence[Eye]) -> None:
    """Refuse a judge that is given twice."""
    names = [eye.name for eye in eyes]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise VitvisError(f"judge={twice}: is given twice; results are kept by the judge's name")
