"""The classes of data: numbers, names, WordNet ids; ImageNet's own come from timm's tables (no network)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from vitvis.data.photo import UnusableImage
from vitvis.errors import VitvisError

__all__ = ["MAX_CLASSES", "Classes", "imagenet_ids", "make_classes", "parse_label", "read_classes", "read_words"]

#: Labels go from 0 to one less: a stray number must not become a list of 2^62 names.
MAX_CLASSES = 1_000_000

_NUMBERED = re.compile(r"(\d+)(?:\s*[\t,]\s*|\s+)(.+)")
_WITH_ID = re.compile(r"(n\d{8})(?:\s*[\t,]\s*|\s+)(.+)")


@dataclass
class Classes:
    """The classes of some data.

    Attributes:
        names: By label.
        ids: WordNet ids by label, where the data has them; models of other label sets are matched by these.
        merged: WordNet ids that the data counts as another, `{id: the id it counts as}`: naming either is right.
    """

    names: list[str] = field(default_factory=list)
    ids: list[str] | None = None
    merged: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    def name(self, label: int | None) -> str | None:
        """Return the name of a class, or None."""
        return self.names[label] if label is not None and 0 <= label < len(self.names) else None


def is_wordnet(name: str) -> bool:
    """Say whether a name is a WordNet id such as `n01440764`."""
    return name[:1] == "n" and name[1:].isdigit()


@cache
def imagenet_ids() -> tuple[str, ...]:
    """Return the 1000 WordNet ids of ImageNet-1k in the order of its labels."""
    from timm.data import ImageNetInfo

    return tuple(ImageNetInfo("imagenet-1k").label_names())


def make_classes(found: Sequence[str]) -> Classes:
    """Return the classes that names found in data belong to.

    WordNet ids are those of ImageNet-1k, with its labels, where all of them are among its thousand. All others are
    numbered in the order of their names.
    """
    names = sorted(set(found))
    if not names or not all(map(is_wordnet, names)):
        return Classes(names)
    ids = list(imagenet_ids()) if set(names) <= set(imagenet_ids()) else names
    return Classes(names_of(ids), ids)


def names_of(ids: Sequence[str]) -> list[str]:
    """Return a short English name for each WordNet id, the id itself where timm knows none."""
    from timm.data import ImageNetInfo

    info = ImageNetInfo("imagenet-1k")
    known = set(imagenet_ids())
    return [info.label_name_to_description(wnid).split(",")[0] if wnid in known else wnid for wnid in ids]


def parse_label(word: str) -> int:
    """Read a class number.

    Raises:
        UnusableImage: it is no whole number from 0 to `MAX_CLASSES - 1`.
    """
    whole, _, part = word.strip().lstrip("+").partition(".")  # some tools write 3.0
    if whole.isdigit() and not part.strip("0") and len(whole.lstrip("0")) < len(str(MAX_CLASSES)):
        return int(whole)
    raise UnusableImage(f"class {word[:20]}{'...' if len(word) > 20 else ''} is no number from 0 to {MAX_CLASSES - 1}")


def read_classes(path: Path, setting: str = "classes") -> Classes:
    """Read names of classes: lines of `label name` or `label wnid name` (tabs, commas or spaces), or a name a line.

    Raises:
        VitvisError: it can't be read, or numbers are too large.
    """
    lines = [line.strip() for line in _read_text(path, setting).splitlines() if line.strip()]
    numbered = [_NUMBERED.fullmatch(line) for line in lines]
    if not lines or not all(numbered):
        return Classes(lines, lines) if lines and all(map(is_wordnet, lines)) else Classes(lines)
    names: dict[int, str] = {}
    ids: dict[int, str] = {}
    for match in filter(None, numbered):
        try:
            label = parse_label(match[1])
        except UnusableImage as reason:
            raise VitvisError(f"{setting}={path}: {reason}") from None
        with_id = _WITH_ID.fullmatch(match[2])
        names[label] = (with_id[2] if with_id else match[2]).strip()
        if with_id:
            ids[label] = with_id[1]
    count = max(names) + 1
    every = [ids[label] for label in range(count)] if len(ids) == count else None
    return Classes([names.get(label, str(label)) for label in range(count)], every)


def read_words(path: Path, setting: str = "") -> list[list[str]]:
    """Read a small text file as rows of words, split at tabs, else at commas, else at spaces; no empty rows.

    Raises:
        VitvisError: it can't be read.
    """
    rows = []
    for line in _read_text(path, setting).splitlines():
        if line.strip():
            separator = "\t" if "\t" in line else "," if "," in line else None
            rows.append([word.strip() for word in line.split(separator)])
    return rows


def _read_text(path: Path, setting: str) -> str:
    named = f"{setting}={path}" if setting else str(path)
    if not path.is_file():
        raise VitvisError(f"{named}: no such file")
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise VitvisError(f"{named}: can't be read ({error})") from None
