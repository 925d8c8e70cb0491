"""A page on which a person judges, blind: pictures without names, in random order, without a server."""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from vitvis.errors import VitvisError
from vitvis.judge.case import Case, open_case
from vitvis.judge.pairs import search_record
from vitvis.judge.settings import JudgeSettings
from vitvis.runs import atomic_folder, digest
from vitvis.runs.files import utf8
from vitvis.search.reading import SearchRun, read_search

__all__ = ["Question", "draw_questions", "open_key", "seal_key", "write_blind"]

CONTEXT = 4
_STRONG, _WEAK = 10, 10
PAGE = "index.html"
#: Bytes that the key of a page may unpack to; that of 10,000 questions has about 2 MB.
MOST_KEY = 20_000_000


@dataclass(frozen=True)
class Question:
    """One question and its answer.

    Attributes:
        kind: `photo`: which photo excites the unit of the picture? `pair`: which of two pictures of a unit shows what
            its photos have in common? `bare`: the same without photos.
        given: Files shown above.
        left: File on the left.
        right: File on the right.
        key: What an answer means: `unit` and, for photos, `run`, `level` (easy or hard) and `right` (the side that is
            right); for pairs the runs on the `left` and the `right`.
    """

    kind: str
    given: tuple[Path, ...]
    left: Path
    right: Path
    key: dict[str, str]


def write_blind(settings: JudgeSettings) -> Path:
    """Write the page and its images into the folder `blind=`; return the page.

    Raises:
        VitvisError: runs that have no unit in common, no photos for a single run, or a folder that holds other files.
    """
    out = Path(str(settings.blind))
    if out.exists() and not (out / PAGE).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise VitvisError(f"blind={out}: is there and is no such page; choose another folder")
    searches = [read_search(folder) for folder in settings.search]
    cases = [open_case(folder, searches) for folder in settings.run]
    questions = draw_questions(cases, settings.trials, settings.seed)
    names = _run_names(cases)
    for question in questions:
        for side in ("run", "left", "right"):
            if question.key.get(side) in names:
                question.key[side] = names[question.key[side]]
    with atomic_folder(out) as folder:
        _write(folder, questions, settings.seed)
    return out / PAGE


def draw_questions(cases: Sequence[Case], count: int, seed: int) -> list[Question]:
    """Return questions in random order: about photos where there is a search, about two runs where there are two.

    Raises:
        VitvisError: nothing can be asked.
    """
    draw = np.random.default_rng(seed)
    photo = [item for case in cases for item in _photo_questions(case, draw)]
    pair = _pair_questions(cases, draw)
    if not photo and not pair:
        raise VitvisError("nothing to ask: give search=FOLDER of the run's model, or two runs that show the same units")
    draw.shuffle(photo)  # type: ignore[arg-type]
    draw.shuffle(pair)  # type: ignore[arg-type]
    from_pair = min(len(pair), count // 2 if photo else count)
    from_photo = min(len(photo), count - from_pair)
    from_pair = min(len(pair), count - from_photo)
    chosen = [*photo[:from_photo], *pair[:from_pair]]
    return [chosen[place] for place in draw.permutation(len(chosen))]


def _photo_questions(case: Case, draw: np.random.Generator) -> list[Question]:
    """Return an easy and a hard question a picture, of those whose unit the search has seen."""
    if case.search is None:
        return []
    found = []
    for record in case.records:
        seen = search_record(case.search, record["address"])
        if seen is None or record.get("status", "ok") != "ok":
            continue
        minimised = record["address"].startswith("-") and not seen["address"].startswith("-")
        strong, weak = ("weakest", "strongest") if minimised else ("strongest", "weakest")
        used = set(record.get("photos_used") or ())
        best = _thumbs(case.search, [index for index in seen[f"{strong}_index"] if index not in used])[:_STRONG]
        own = set(seen[f"{strong}_index"])
        others = {
            "easy": _thumbs(case.search, [index for index in seen[f"{weak}_index"] if index not in own])[:_WEAK],
            "hard": _thumbs(case.search, [index for index in seen["decile_index"] if index not in own]),
        }
        for level, pool in others.items():
            if best and pool:
                pair = (best[draw.integers(len(best))], pool[draw.integers(len(pool))])
                left = bool(draw.integers(2))
                found.append(
                    Question(
                        "photo",
                        (case.path / record["image"],),
                        pair[0 if left else 1],
                        pair[1 if left else 0],
                        {
                            "unit": record["address"],
                            "run": str(case.path),
                            "level": level,
                            "right": "left" if left else "right",
                        },
                    )
                )
    return found


def _pair_questions(cases: Sequence[Case], draw: np.random.Generator) -> list[Question]:
    """Return a question a unit and pair of runs that both show it."""
    found = []
    pictures = [_first_pictures(case) for case in cases]
    for first in range(len(cases)):
        for second in range(first + 1, len(cases)):
            if cases[first].weights_id != cases[second].weights_id:
                continue
            for address in pictures[first]:
                if address not in pictures[second]:
                    continue
                sides = [(cases[place], pictures[place][address]) for place in draw.permutation([first, second])]
                context = _context(cases[first].search, address)
                found.append(
                    Question(
                        "pair" if context else "bare",
                        context,
                        sides[0][1],
                        sides[1][1],
                        {"unit": address, "left": str(sides[0][0].path), "right": str(sides[1][0].path)},
                    )
                )
    return found


def _first_pictures(case: Case) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for record in case.records:
        found.setdefault(record["address"], case.path / record["image"])
    return found


def _context(search: SearchRun | None, address: str) -> tuple[Path, ...]:
    seen = None if search is None else search_record(search, address)
    if search is None or seen is None:
        return ()
    end = "weakest_index" if address.startswith("-") and not seen["address"].startswith("-") else "strongest_index"
    return tuple(_thumbs(search, seen[end])[:CONTEXT])


def _thumbs(search: SearchRun, indices: Sequence[int]) -> list[Path]:
    return [path for index in indices if (path := search.thumb(int(index))).is_file()]


def _run_names(cases: Sequence[Case]) -> dict[str, str]:
    """Return a name for each run's folder: its own, with its parent's where two agree."""
    own = [case.path.resolve() for case in cases]
    short = [path.name for path in own]
    return {
        str(case.path): path.name if short.count(path.name) == 1 else f"{path.parent.name}/{path.name}"
        for case, path in zip(cases, own, strict=True)
    }


def seal_key(keys: Sequence[Mapping[str, str]]) -> str:
    """Return the answers as text that can't be read by chance."""
    return base64.b64encode(zlib.compress(json.dumps(list(keys)).encode(), 9)).decode()


def open_key(sealed: str) -> list[dict[str, str]]:
    """Return what `seal_key` sealed.

    Raises:
        ValueError: it is no such text.
    """
    unpack = zlib.decompressobj()
    try:
        text = unpack.decompress(base64.b64decode(sealed, validate=True), MOST_KEY)
        if unpack.unconsumed_tail:
            raise ValueError(f"unpacks to more than {MOST_KEY:,} bytes")
        return json.loads(text)
    except (ValueError, zlib.error, TypeError, RecursionError) as error:
        raise ValueError(str(error)) from None


def _write(folder: Path, questions: Sequence[Question], seed: int) -> None:
    from jinja2 import Environment, StrictUndefined
    from PIL import Image

    from vitvis import __version__

    def copy(path: Path, place: str) -> str:
        """Copy a picture under a name that says nothing, and without what a PNG of fit says of itself."""
        name = f"{digest([place, seed], 12)}.webp"
        with Image.open(path) as image:
            buffer = io.BytesIO()
            image.convert("RGB").save(buffer, format="WEBP", quality=95, method=4)
        (folder / "images" / name).write_bytes(buffer.getvalue())
        return name

    (folder / "images").mkdir(parents=True)
    trials = [
        {
            "kind": question.kind,
            "given": [copy(path, f"{place} given {number}") for number, path in enumerate(question.given)],
            "left": copy(question.left, f"{place} left"),
            "right": copy(question.right, f"{place} right"),
        }
        for place, question in enumerate(questions)
    ]
    key = seal_key([{"kind": question.kind, **question.key} for question in questions])
    study = {"id": digest(key, 8), "vitvis": __version__, "key": key, "trials": trials}
    text = files("vitvis.judge").joinpath("static", "blind.html").read_text(encoding="utf-8")
    page = Environment(autoescape=False, undefined=StrictUndefined).from_string(text)
    shown = json.dumps(study).replace("</", "<\\/")
    (folder / PAGE).write_bytes(utf8(page.render(title="Which one?", study=shown)))
