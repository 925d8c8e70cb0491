"""What people answered on a blind page, scored with intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

from vitvis.errors import VitvisError
from vitvis.judge.blind import open_key
from vitvis.runs.reading import read_json

__all__ = ["Share", "answers_table", "score_answers", "wilson"]


@dataclass(frozen=True)
class Share:
    """A share with its 95 % interval, of `count` answers; NaN of none."""

    value: float
    low: float
    high: float
    count: int


def wilson(right: float, count: int, confidence: float = 0.95) -> Share:
    """Return a share and Wilson's interval of it (1927), which holds for few answers and for shares of 0 and 1.

    >>> found = wilson(9, 10)
    >>> round(found.low, 3), round(found.high, 3)
    (0.596, 0.982)
    """
    if count <= 0:
        return Share(math.nan, math.nan, math.nan, 0)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = right / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    reach = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return Share(share, max(0.0, middle - reach), min(1.0, middle + reach), count)


def score_answers(paths: Iterable[str | Path]) -> dict[str, dict[tuple[str, ...], Share]]:
    """Return the shares of all answers together.

    Returns:
        `photo`: by run and level, the share of questions in which the right photo was chosen (50 % by chance);
        `pair`: by two runs, the share in which the picture of the first was preferred.

    Raises:
        VitvisError: a file is none that a blind page has saved.
    """
    right: dict[tuple[str, str], list[bool]] = {}
    preferred: dict[tuple[str, str], list[bool]] = {}
    for path in paths:
        for question, choice in _read(Path(path)):
            if question["kind"] == "photo":
                hit = choice == question["right"]
                for level in (question["level"], "all"):
                    right.setdefault((question["run"], level), []).append(hit)
            else:
                first, second = sorted((question["left"], question["right"]))
                preferred.setdefault((first, second), []).append(question[choice] == first)
    return {
        "photo": {key: wilson(sum(hits), len(hits)) for key, hits in sorted(right.items())},
        "pair": {key: wilson(sum(hits), len(hits)) for key, hits in sorted(preferred.items())},
    }


def answers_table(paths: Sequence[str | Path]) -> str:
    """Return what `answers=FILE` prints."""
    found = score_answers(paths)
    lines = []
    if found["photo"]:
        lines.append("right photo chosen (50 % by chance)")
        runs = dict.fromkeys(run for run, _ in found["photo"])
        for run in runs:
            cells = [
                f"{level} {_text(found['photo'][run, level])}"
                for level in ("all", "easy", "hard")
                if (run, level) in found["photo"]
            ]
            lines.append(f"  {run}: " + ", ".join(cells))
    for (first, second), share in found["pair"].items():
        lines.append(f"{first} preferred to {second}: {_text(share)}")
    return "\n".join(lines) or "no question was answered"


def _text(share: Share) -> str:
    return f"{100 * share.value:.0f} % [{100 * share.low:.0f}, {100 * share.high:.0f}] of {share.count}"


def _read(path: Path) -> list[tuple[dict[str, Any], str]]:
    """Return questions and the sides that were chosen, from one file."""
    try:
        told = read_json(path)
        key = dict(enumerate(open_key(told["key"])))
        answers = [(_question(key[int(answer["trial"])]), str(answer["choice"])) for answer in told["answers"]]
    except VitvisError as error:
        raise VitvisError(f"answers={error}") from None
    except (ValueError, LookupError, TypeError, OverflowError):
        raise VitvisError(f"answers={path}: is no file that a page of blind= has saved") from None
    if any(choice not in ("left", "right") for _, choice in answers):
        raise VitvisError(f"answers={path}: holds a choice that is neither left nor right")
    return answers


def _question(told: dict[str, Any]) -> dict[str, Any]:
    """Return a question of a page's key that has all that is asked of it.

    Raises:
        ValueError: it has not.
    """
    needed = ("kind", "left", "right") if told["kind"] == "pair" else ("kind", "run", "level", "right")
    if not all(isinstance(told[name], str) for name in needed):
        raise ValueError("a question without its answer")
    return told
