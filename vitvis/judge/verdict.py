"""One number for a picture that a recipe can be chosen by, and what it is made of.

    judge = mean of the parts that can be measured, each 0 by chance and 1 at best:
        2 * choice - 1                     (choice: mean of easy and hard pairs; of any unit that a search has seen)
        (top-1 + top-5) / 2                (of class units whose class the judge knows)
    judge = 0 for a picture that is dead or failed, or to which its own unit is indifferent

A unit is **indifferent** to its picture when it fires less on it than on the photos of its strongest tenth: a picture
of a unit has to excite it, however well it shows what the unit is known for. It is checked where a search read the
unit from the same tokens as the fit.

The number is negative where a picture leads to the wrong photos, so that noise has the mean 0, not more. It has no part
in which more is better without end, and none that the run's own model decides alone. What it can't see: a recipe that
was given the very photos it is tested with (these are left out, if its records say so), or the judge itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["beats_best_photo", "indifferent", "verdict"]


def verdict(*, ok: bool, indifferent: bool | None, choice: float | None, rank: int | None) -> float | None:
    """Return the number of one picture, -1..1, or None where nothing can be measured.

    Args:
        ok: Whether the picture was finished and its unit lives.
        indifferent: Whether its own unit is indifferent to it; None where that isn't known.
        choice: Share of pairs chosen rightly, 0..1; None or NaN without photos.
        rank: Place of the class among the judge's; None where it is no class unit, or none of the judge's.

    >>> round(verdict(ok=True, indifferent=False, choice=0.9, rank=3), 3)
    0.65
    """
    parts = []
    if choice is not None and not math.isnan(choice):
        parts.append(2 * choice - 1)
    if rank is not None:
        parts.append(((rank <= 1) + (rank <= 5)) / 2)
    if not parts:
        return None
    return sum(parts) / len(parts) if ok and not indifferent else 0.0


def indifferent(activation: float | None, record: Mapping[str, Any] | None, *, minimised: bool = False) -> bool | None:
    """Say whether a unit fires less on its picture than on the mean photo of its strongest tenth.

    Args:
        activation: On the picture, times the unit's sign; None or NaN where it isn't known.
        record: What a search knows about the unit.
        minimised: Whether the picture minimises it: its strongest tenth is then the lowest.
    """
    if record is None or activation is None or math.isnan(activation):
        return None
    tenth = 0 if minimised else 9
    values = [
        value
        for value, decile in zip(record["decile_activation"] or (), record["decile"] or (), strict=False)
        if decile == tenth
    ]
    if not values:
        return None
    return activation < (-1 if minimised else 1) * sum(values) / len(values)


def beats_best_photo(
    activation: float | None, record: Mapping[str, Any] | None, *, minimised: bool = False
) -> bool | None:
    """Say whether a picture excites its unit more than the best of all photos does; None where that isn't known."""
    if record is None or activation is None or math.isnan(activation):
        return None
    values = record["weakest_activation" if minimised else "strongest_activation"]
    if not values:
        return None
    return activation > (-1 if minimised else 1) * values[0]
