"""What a fit says when it is done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vitvis.runs import read_png_text

if TYPE_CHECKING:
    from vitvis.fit.engine import Fit

__all__ = ["compare", "report"]


def report(fit: Fit) -> str:
    """Return a few lines about a run: how many images, means by site, and where to look."""
    records = fit.records
    count = {status: sum(record["status"] == status for record in records) for status in ("ok", "dead", "failed")}
    score = f", score {fit.summary['score']:.3f}" if fit.summary else ""
    lines = [
        f"{len(records)} images: {count['ok']} ok, {count['dead']} dead, {count['failed']} failed; "
        f"{fit.made} made now{score}",
        "",
        f"  {'site':<28}{'images':>7}{'ok':>5}{'activation':>13}{'at the start':>14}{'rank':>7}",
    ]
    by_depth = sorted(records, key=lambda record: (record["depth"], record["site"]))
    for site in dict.fromkeys(record["site"] for record in by_depth):
        rows = [record for record in records if record["site"] == site]
        alive = [record for record in rows if record["status"] != "failed"]
        mean = [_mean([record[name] for record in alive]) for name in ("activation", "activation_start", "rank")]
        ok = sum(record["status"] == "ok" for record in rows)
        lines.append(f"  {site:<28}{len(rows):>7}{ok:>5}{mean[0]:>13.3g}{mean[1]:>14.3g}{mean[2]:>7.0f}")
    failed = [record for record in records if record["status"] == "failed"]
    lines += [f"  failed: {record['address']}: {record['message']}" for record in failed[:5]]
    if fit.plan is not None and fit.plan.why:
        lines += ["", f"in {fit.plan.precision}, {fit.plan.why}"]
    sheet = fit.sheet or "drawn by the last shard, or with finish=true"
    lines += ["", f"folder  {fit.path}", f"sheet   {sheet}"]
    return "\n".join(lines)


def compare(original: Path, fit: Fit) -> str:
    """Return a line that says whether an image made again is the original, and where it lies."""
    import numpy as np
    from PIL import Image

    text = read_png_text(original)
    wanted = text.get("unit"), text.get("seed")  # the folder may hold others
    record = next(row for row in fit.records if (row["address"], str(row["seed"])) == wanted)
    again = fit.path / record["image"]
    now = read_png_text(again)
    with Image.open(original) as first, Image.open(again) as second:
        if first.size != second.size:
            return f"{again}: has another size than {original}"
        gap = int(np.abs(np.asarray(first, dtype=int) - np.asarray(second, dtype=int)).max())
    changed = [key for key in ("weights_id", "recipe", "vitvis") if text.get(key) != now.get(key)]
    verdict = "the same pixels as" if gap == 0 else f"differs by up to {gap} of 255 from"
    note = f" ({', '.join(changed)} changed)" if changed else ""
    return f"{again}: {verdict} {original}{note}"


def _mean(values: list[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else float("nan")
