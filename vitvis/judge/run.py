"""`vitvis.judge.run(...)`: the command `judge` from Python."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitvis.config.core import merge
from vitvis.judge.settings import JudgeSettings

if TYPE_CHECKING:
    from vitvis.judge.results import Judgement

__all__ = ["run"]


def run(
    cfg: JudgeSettings | Mapping[str, Any] | list[str] | str | Path | None = None, /, **settings: Any
) -> list[Judgement]:
    """Judge the pictures of runs; `vitvis.judge.run(run="out/A", judge="vitvis_resnet", search="out/S")`.

    Args:
        cfg: Settings, a mapping of them, a list of `a.b=c`, or a YAML file.
        settings: Single settings laid over `cfg`.

    Returns:
        A judgement a run and judge.

    Raises:
        VitvisError: settings that can't be followed.
    """
    from vitvis.judge.engine import judge_runs

    layers = [layer for layer in (cfg, settings) if layer]
    return judge_runs(check(merge(JudgeSettings, *layers)))


def check(settings: JudgeSettings) -> JudgeSettings:
    """Return settings that name something to judge.

    Raises:
        VitvisError: they don't.
    """
    from vitvis.errors import VitvisError

    if not settings.run:
        raise VitvisError("say which pictures: run=out/RUN, a folder of vitvis.fit (or several: run=[out/A,out/B])")
    return settings
