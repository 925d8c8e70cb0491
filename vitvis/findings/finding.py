"""A statement, and what was found about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vitvis.findings.bench import Bench

__all__ = ["MEASURED", "NOT_RUN", "Finding", "Statement", "Table", "not_run", "sign_of", "verdict_of"]

MEASURED, NOT_RUN = "measured", "not run"


@dataclass
class Table:
    """A table of the page; cells are text that is ready to be read."""

    title: str
    head: list[str]
    rows: list[list[str]]


@dataclass
class Finding:
    """What was found about a statement; `OUT/NAME/finding.json` holds the same.

    Attributes:
        name: Of the statement.
        status: `measured` or `not run`.
        verdict: One line.
        found: Sentences, with numbers.
        tables: Of the section.
        pictures: Names of files within the folder of the statement; `texts.yaml` has their captions.
        numbers: Every number behind it, for programs.
        seconds: How long it took, runs that were there already not counted.
    """

    name: str
    status: str
    verdict: str
    found: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Finding:
        """Return what `to_json` was made of."""
        tables = [Table(**table) for table in data["tables"]]
        return cls(**{**data, "tables": tables})


@dataclass(frozen=True)
class Statement:
    """Something the work says; its words are in `texts.yaml`.

    Attributes:
        name: Short.
        measure: Measures it.
        needs_data: Whether nothing can be said without photos.
    """

    name: str
    measure: Callable[[Bench], Finding] = field(repr=False)
    needs_data: bool = True


def not_run(name: str, reason: str) -> Finding:
    """Return the finding of a statement that was not measured."""
    return Finding(name, NOT_RUN, f"not run: {reason}")


def verdict_of(signs: Sequence[int], what: str) -> str:
    """Say how many of several comparisons agree with the statement.

    Args:
        signs: 1 where a whole 95 % interval lies on the statement's side, -1 where on the other, 0 where it holds both.
        what: What was compared.
    """
    agree, against = sum(sign > 0 for sign in signs), sum(sign < 0 for sign in signs)
    if agree and agree == len(signs):
        word = "agrees"
    elif agree:
        word = "mixed" if against else "agrees in part"
    else:
        word = "disagrees" if against else "undecided"
    open_ones = len(signs) - agree - against
    return f"{word}: of {len(signs)} comparisons ({what}) {agree} agree, {against} disagree, {open_ones} can't be told"


def sign_of(low: float, high: float, zero: float = 0.0) -> int:
    """Return 1 or -1 where an interval lies above or below `zero`, 0 where it holds it or is none."""
    return 1 if low > zero else -1 if high < zero else 0
