"""What the command says when it is done: a table, a column for each run and judge."""

from __future__ import annotations

from collections.abc import Sequence

from vitvis.judge.results import Judgement

__all__ = ["table"]

#: Measure, what it is called, and how it is written: percent, plain number, decibels.
_LINES = (
    ("judge", "judge (0 by chance, 1 at best)", "{:.3f}"),
    ("choice", "choice: right photo, %", "%"),
    ("choice_easy", "  easy pairs", "%"),
    ("choice_hard", "  hard pairs", "%"),
    ("choice_photos", "  the unit's own photos instead", "%"),
    ("choice_other", "  another unit's picture", "%"),
    ("choice_noise", "  noise", "%"),
    ("top1", "transfer: top-1, %", "%"),
    ("top5", "  top-5, %", "%"),
    ("class_probability", "  probability", "{:.3f}"),
    ("kid", "KID to photos", "{:.3f}"),
    ("spectrum", "spectrum to photos, dB", "{:.1f}"),
    ("seam", "seam (1: none)", "{:.2f}"),
    ("clipped", "clipped values, %", "%"),
    ("kept", "activation kept, %", "%"),
    ("beats_photo", "beats the best photo, % of units", "%"),
    ("agreement", "seeds agree, %", "%"),
)


def table(done: Sequence[Judgement]) -> str:
    """Return the means of all judgements, with 95 % intervals over units."""
    heads = [f"{item.path.name} by {item.name}" for item in done]
    lines = [[""] + heads]
    for measure, title, form in _LINES:
        cells = [_cell(item, measure, form) for item in done]
        if any(cells):
            lines.append([title, *(cell or "-" for cell in cells)])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = [
        "  ".join(
            [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
        )
        for line in lines
    ]
    for item in done:
        unmatched = item.about.get("unmatched_classes")
        if unmatched:
            text.append(
                f"{item.path.name}: {item.name} does not know the classes of {unmatched} units; left out of transfer"
            )
        text += [f"{item.path.name}: {note}" for note in item.about["notes"]]
    return "\n".join(dict.fromkeys(line.rstrip() for line in text))


def _cell(item: Judgement, measure: str, form: str) -> str:
    if measure == "kid":
        kid = item.about.get("kid")
        return f"{kid['mean']:.3f} ± {kid['spread']:.3f}" if kid else ""
    found = item.summary.get(measure)
    if found is None:
        return ""
    if form == "%":
        return "{:.1f} [{:.1f}, {:.1f}]".format(*(100 * value for value in found))
    return f"{form} [{form}, {form}]".format(*found)
