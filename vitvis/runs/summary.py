"""One number for a run that a person would agree with, and the parts it is made of.

The highest activation belongs to noise: with no regulariser, a unit is driven far beyond anything a photo does to
it by pixels that show nothing. So the activation counts only up to what the best photo reaches, and an image has to
be *about its unit*, *free of noise* and *no haze* as well:

    score = mean over units of   strength * selectivity * clearness * contrast     (one that is dead or failed counts 0)

- **strength**: activation of the clean image over the activation of the best photo in a search, at most 1: a picture
  that excites the unit as much as the best of thousands of photos is convincing, ten times as much is not ten times
  as convincing. Without a search, the rise over the starting image, `(a - a0) / (|a| + |a0|)`, at most 1.
- **selectivity**: `1 - log(rank) / log(width)`, 1 where no other unit of the site fires more on the image, 0 where
  all do. The logarithm, because the step from rank 1 to 10 says more than that from 510 to 519.
- **clearness**: 1 while the share of energy above half of Nyquist is at most that of photos, falling to 0 at white
  noise's, in its logarithm.
- **contrast**: total variation over that of the flattest photos, at most 1: grey haze and blur have next to none.

A product, since each is necessary: a sharp picture of nothing and a selective patch of noise are both useless.
"""

from __future__ import annotations

import json
import math
from bisect import insort
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = [
    "RunningSummary",
    "clearness",
    "contrast",
    "dataset_best",
    "judged",
    "selectivity",
    "strength",
    "summarize",
    "unit_score",
]

#: What a judge has said (`vitvis.judge`), over all pictures: one that is dead has `judge` 0.
_JUDGED = ("judge", "judge_choice", "judge_top1", "judge_top5", "judge_probability")
#: Parts of a summary that are means over units, in their order.
_MEANS = ("strength", "selectivity", "clearness", "contrast", "activation", "activation_peak", "hf_share", "tv")
#: Photos have up to this share of their energy above half of Nyquist, at any size: of COCO's photos 95 % have less
#: than 0.15 at 64 px, 0.11 at 224 px and at 336 px; the median of Tiny-ImageNet's, which are sharper, is 0.12.
PHOTO_HF = 0.12
#: White noise: the part of the frequency square outside the circle of half of Nyquist, `1 - pi / 16`.
NOISE_HF = 1 - math.pi / 16
#: Nine photos in ten have a total variation (the paper's, divided by the side in px) above this at 64 px, and above
#: `PHOTO_TV * (64 / side) ** (1 / 3)` at other sizes: COCO's have 0.28, 0.19, 0.16 at 64, 224, 336 px, Tiny-ImageNet's
#: 0.31 at 64 px. Larger photos are smoother from pixel to pixel.
PHOTO_TV = 0.28


def strength(activation: float, start: float | None = None, best: float | None = None) -> float:
    """Return how far a unit got, 0..1.

    Args:
        activation: Activation of the clean image.
        start: That of the starting image, used when there is no `best`.
        best: That of the dataset's best image; has to be positive to count.
    """
    if best is not None and best > 0:
        return min(1.0, max(0.0, activation / best))
    start = start or 0.0
    size = abs(activation) + abs(start)
    return max(0.0, (activation - start) / size) if size > 0 else 0.0


def selectivity(rank: float, width: int) -> float:
    """Return 1 for the unit that fires most of its site, 0 for the one that fires least.

    Args:
        rank: 1..width.
        width: Units of the site.
    """
    return 1.0 if width < 2 else min(1.0, max(0.0, 1 - math.log(max(rank, 1)) / math.log(width)))


def clearness(hf_share: float) -> float:
    """Return 1 for an image with no more high frequencies than a photo, 0 for white noise.

    `1 - log(hf_share / PHOTO_HF) / log(NOISE_HF / PHOTO_HF)`: twice as much counts the same wherever one starts.

    Args:
        hf_share: Share of spectral energy above half of Nyquist, 0..1.
    """
    if hf_share <= PHOTO_HF:
        return 1.0
    return max(0.0, 1 - math.log(hf_share / PHOTO_HF) / math.log(NOISE_HF / PHOTO_HF))


def contrast(tv: float, width: int, height: int) -> float:
    """Return 1 for an image that varies as much as photos do, 0 for a flat one.

    Args:
        tv: Its total variation (`vitvis.fit.regularizers.paper_tv`).
        width: Its width in px.
        height: Its height in px.
    """
    side = math.sqrt(width * height)
    return min(1.0, max(0.0, tv / (side * PHOTO_TV * (64 / side) ** (1 / 3))))


def unit_score(record: Mapping[str, Any], best: float | None = None) -> float:
    """Return the score of one fit record, 0..1."""
    if record.get("status") != "ok" or not _is_finite(record.get("activation")):
        return 0.0
    return (
        strength(record["activation"], record.get("activation_start"), best)
        * selectivity(record.get("rank") or 1, record.get("site_width") or 1)
        * (clearness(record["hf_share"]) if _is_finite(record.get("hf_share")) else 0.0)
        * (contrast(record["tv"], record["width"], record["height"]) if _has_contrast(record) else 1.0)
    )


class RunningSummary:
    """The score of a run and its parts, over records that come one after the other; each costs the same.

    Args:
        best: Activation of the dataset's best image by unit address, from `dataset_best`.
    """

    def __init__(self, best: Mapping[str, float] | None = None) -> None:
        self._best = best or {}
        self._status: Counter[str] = Counter()
        self._sums: dict[str, list[float]] = {}  # by part: sum and count
        self._sorted: dict[str, list[float]] = {"rank": [], "relative_activation": []}
        self._seconds = 0.0

    def add(self, records: Iterable[Mapping[str, Any]]) -> RunningSummary:
        """Take fit records in; returns itself."""
        for record in records:
            best = self._best.get(record.get("address", ""))
            self._status[str(record.get("status"))] += 1
            self._count("score", unit_score(record, best))
            if _is_finite(record.get("seconds")):
                self._seconds += record["seconds"]
            for name in _JUDGED:
                if _is_finite(record.get(name)):
                    self._count(name, record[name])
            if record.get("status") == "ok":
                for name, value in _parts(record, best).items():
                    if name in self._sorted:
                        insort(self._sorted[name], value)
                    else:
                        self._count(name, value)
        return self

    def _count(self, name: str, value: float) -> None:
        entry = self._sums.setdefault(name, [0.0, 0.0])
        entry[0] += value
        entry[1] += 1

    def values(self) -> dict[str, float]:
        """Return what `summarize` returns, for the records so far."""
        units = self._status.total()
        means = {name: total / count for name, (total, count) in self._sums.items()}
        return {
            "score": means.pop("score", 0.0),
            "units": units,
            "dead_share": self._status["dead"] / max(1, units),
            "failed_share": self._status["failed"] / max(1, units),
            **{name: means[name] for name in (*_MEANS, *_JUDGED) if name in means},
            **{name: float(_middle(values)) for name, values in self._sorted.items() if values},
            "seconds": self._seconds,
        }


def summarize(records: Iterable[Mapping[str, Any]], best: Mapping[str, float] | None = None) -> dict[str, float]:
    """Return the score of a run and its parts.

    Args:
        records: Fit records.
        best: Activation of the dataset's best image by unit address, from `dataset_best`.

    Returns:
        `score`; its parts as means over the units that are alive (`strength`, `selectivity`, `clearness`,
        `contrast`); what they come from (`activation`, `activation_peak`, `relative_activation`: median of activation
        over the dataset's best, only with `best`; `rank`: median, `hf_share`, `tv`); what a judge said (`judge`,
        `judge_choice`, `judge_top1`, `judge_top5`, `judge_probability`); `dead_share`, `failed_share`, `units`,
        `seconds` (sum over units). Parts that nothing is known of are left out.
    """
    return RunningSummary(best).add(records).values()


def judged(folder: str | Path) -> dict[str, float]:
    """Return what the judgements of a run (`vitvis.judge`) add to its summary.

    `judge/NAME/MEASURE` of each judge, and `judge`, the mean of the judges' numbers; empty where nobody has judged it.
    """
    keys: dict[str, float] = {}
    for path in sorted((Path(folder) / "judge").glob("*.json")):
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            keys |= {f"judge/{path.stem}/{name}": float(value[0]) for name, value in told["measures"].items()}
        except (OSError, ValueError, LookupError, TypeError, AttributeError):  # damaged: to be judged again
            continue
        if told.get("kid"):
            keys[f"judge/{path.stem}/kid"] = float(told["kid"]["mean"])
    scores = [value for key, value in keys.items() if key.endswith("/judge")]
    return {"judge": sum(scores) / len(scores), **keys} if scores else keys


def _parts(record: Mapping[str, Any], best: float | None) -> dict[str, float]:
    """Return what one record of a unit that is alive says, by name; what it does not say is left out."""
    parts: dict[str, float] = {
        name: record[name]
        for name in ("activation", "activation_peak", "hf_share", "tv")
        if _is_finite(record.get(name))
    }
    if "activation" in parts:
        parts["strength"] = strength(parts["activation"], record.get("activation_start"), best)
        if best is not None and best > 0:
            parts["relative_activation"] = parts["activation"] / best
    if record.get("rank"):
        parts["selectivity"] = selectivity(record["rank"], record.get("site_width") or 1)
        if _is_finite(record["rank"]):
            parts["rank"] = record["rank"]
    if "hf_share" in parts:
        parts["clearness"] = clearness(parts["hf_share"])
    if _has_contrast(record):
        parts["contrast"] = contrast(record["tv"], record["width"], record["height"])
    return parts


def _middle(ordered: Sequence[float]) -> float:
    """Return the median of sorted numbers, without sorting them again."""
    half, odd = divmod(len(ordered), 2)
    return ordered[half] if odd else (ordered[half - 1] + ordered[half]) / 2


def dataset_best(search: str | Path) -> dict[str, float]:
    """Return the activation of the dataset's best image by unit address, from a run of `vitvis.search`.

    A unit with a leading `-` is minimised: its best is the negative of the weakest activation.

    Raises:
        VitvisError: the folder is no search run.
    """
    from vitvis.errors import VitvisError
    from vitvis.runs import read_manifest, read_records

    if read_manifest(search)["kind"] != "search":
        raise VitvisError(f"search={search}: is no folder of vitvis.search")
    best: dict[str, float] = {}
    for record in read_records(search):
        if record.get("strongest_activation"):
            best[record["address"]] = max(record["strongest_activation"])
        if record.get("weakest_activation"):
            best[f"-{record['address']}"] = -min(record["weakest_activation"])
    return best


def _has_contrast(record: Mapping[str, Any]) -> bool:
    return all(_is_finite(record.get(name)) for name in ("tv", "width", "height"))


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
