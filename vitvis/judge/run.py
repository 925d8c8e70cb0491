"""The command `judge`, from a shell and from Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vitvis.config import Command, Layer, merge, ready
from vitvis.errors import VitvisError
from vitvis.judge.settings import JudgeSettings
from vitvis.launch.cluster import check_here, launched

if TYPE_CHECKING:
    from vitvis.judge.results import Judgement

__all__ = ["COMMAND", "main", "run"]


def run(cfg: Layer = None, /, **settings: Any) -> list[Judgement]:
    """Judge the pictures of runs.

    Args:
        cfg: Settings, a mapping of them, a list of `a.b=c`, or a YAML file.
        settings: Single settings laid over `cfg`: `vitvis.judge.run(run="out/A", search="out/search")`.

    Returns:
        A judgement for each run and judge, in that order; none on ranks other than 0, nor of `shard=` where others are
        missing.

    Raises:
        VitvisError: settings that can't be followed, or a judge that would judge its own pictures.
    """
    asked = _with_runs(ready(merge(JudgeSettings, cfg, settings)))
    check_here(asked.launch)
    from vitvis.judge.engine import judge_runs

    return judge_runs(asked)


def _with_runs(settings: JudgeSettings) -> JudgeSettings:
    """Return settings that say whose pictures are judged."""
    if not settings.run:
        raise VitvisError(
            "run= says whose pictures are judged; give folders of vitvis.fit: run=out/A or run=[out/A,out/B]"
        )
    return settings


def _act(settings: JudgeSettings, options: Mapping[str, str]) -> None:
    if settings.answers:
        from vitvis.judge.answers import answers_table

        print(answers_table(settings.answers))
        return
    if settings.blind is not None:
        from vitvis.judge.blind import write_blind

        print(write_blind(_with_runs(settings)))
        return
    done = run(settings)
    if done:
        from vitvis.judge.report import table

        print(table(done))
        for item in done:
            print(item.path / "judge" / f"{item.name}.parquet")
    elif settings.shard:
        print(f"shard {settings.shard} is done; others are not")


COMMAND = Command(
    name="vitvis.judge",
    settings=JudgeSettings,
    action=launched("vitvis.judge", _act),
    summary="score pictures by an eye that did not make them",
    description="Score optimised pictures by another model: does it see the class, does the picture tell which photos "
    "excite the unit, how natural and how sturdy is it, do seeds agree.",
    examples=(
        "python -m vitvis.judge run=out/RUN judge=vitvis_resnet search=out/SEARCH",
        "python -m vitvis.judge 'run=[out/A,out/B]' judge=resnet50 data=imagefolder:VAL",
        "python -m vitvis.judge blind=out/blind 'run=[out/A,out/B]' search=out/SEARCH    # a page for a person's eye",
        "python -m vitvis.judge answers=answers-1a2b3c4d.json",
        "python -m vitvis.judge out/A out/B 'judge=[resnet50,convnext_tiny]' search=out/SEARCH",
    ),
    words="run",
)
main = COMMAND.main
