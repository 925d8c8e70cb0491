"""The language of unit addresses: `SITE:UNITS`."""

from __future__ import annotations

import fnmatch
import hashlib
import re
from collections.abc import Iterator, Mapping

from vitvis.errors import VitvisError, nearest

from .site import Site

__all__ = ["LONGEST", "MOST_NAMES", "drawn", "expand_braces", "expand_units", "match_sites"]

_DIGITS = 12  # of a number; more than any model has units, few enough to count with
_NUMBERS = re.compile(rf"\d{{1,{_DIGITS}}}(-\d{{1,{_DIGITS}}})?")
MOST_BRACES = 16
LONGEST = 100_000  # characters of an address
MOST_NAMES = 10_000  # that braces may expand to


def expand_braces(pattern: str) -> Iterator[str]:
    """Expand `a.{0,5}.b` and `a.{0..3}.b` like a shell, one name at a time: a range may be of any length."""
    match = re.search(r"\{([^{}]*)\}", pattern)
    if match is None:
        yield pattern
        return
    numbers = re.fullmatch(rf"(\d{{1,{_DIGITS}}})(?:\.\.|-)(\d{{1,{_DIGITS}}})", match[1])
    choices = range(int(numbers[1]), int(numbers[2]) + 1) if numbers else match[1].split(",")
    for choice in choices:
        yield from expand_braces(f"{pattern[: match.start()]}{str(choice).strip()}{pattern[match.end() :]}")


def _matches(pattern: str, name: str) -> bool:
    """Say whether a name matches, `*` standing for one part of a path, `**` for any number, `?` for a letter."""
    ends = {0}  # where in the name the pattern read so far may end; time grows with their product, not as a power
    for part in re.split(r"(\*\*|\*|\?)", pattern):
        if part == "**":
            ends = set(range(min(ends), len(name) + 1))
        elif part == "*":
            ends = {stop for end in ends for stop in range(end, (name + ".").index(".", end) + 1)}
        elif part == "?":
            ends = {end + 1 for end in ends if name[end : end + 1] not in ("", ".")}
        else:
            ends = {end + len(part) for end in ends if name.startswith(part, end)}
        if not ends:
            return False
    return len(name) in ends


def match_sites(pattern: str, sites: Mapping[str, Site], text: str) -> list[Site]:
    """Sites that a pattern names, in order of execution.

    A `*` first stands for one part of a dotted path; where nothing matches so, for any number of parts (`*.mlp` finds
    `layers.0.blocks.1.mlp`). Named sites come first; only where none matches are other submodules looked at.
    """
    getter = getattr(sites, "get_site", None)
    modules = getattr(sites, "module_paths", None)
    found: dict[str, Site] = {}
    if pattern.count("{") > MOST_BRACES:
        raise VitvisError(f"units '{text}': has more than {MOST_BRACES} braces")
    for count, name in enumerate(expand_braces(pattern)):
        if count == MOST_NAMES:
            raise VitvisError(f"units '{text}': its braces stand for more than {MOST_NAMES} names")
        if not name.strip():
            raise VitvisError(f"units '{text}': names no site before its units; write blocks.4.mlp:17, for example")
        if not re.search(r"[*?]", name):
            if getter is not None:
                try:
                    found[name] = getter(name)
                except VitvisError as error:
                    raise VitvisError(f"units '{text}': {error}") from error
            elif name in sites:
                found[name] = sites[name]
            else:
                hint = nearest(name, sites) or ";"
                raise VitvisError(f"units '{text}': no site '{name}'{hint} sites: {', '.join(list(sites)[:8])}, ...")
            continue
        matches = [site for site in sites if _matches(name, site)] or fnmatch.filter(sites, name)
        if not matches and modules is not None and getter is not None:
            matches = _tappable([path for path in modules() if _matches(name, path)], getter)
        if not matches:
            kinds = sorted({site.kind for site in sites.values()})
            hint = nearest(name, sites) or ";"
            raise VitvisError(
                f"units '{text}': no site matches '{name}'{hint} the model has kinds {', '.join(kinds)}, "
                f"so write units='*.{kinds[0]}:~4', say; "
                f"sites: {', '.join(list(sites)[:4])}, ..."
            )
        for match in matches:
            found[match] = getter(match) if getter is not None else sites[match]
    return list(found.values())


def _tappable(names: list[str], getter: object) -> list[str]:
    """Submodules whose activation has a known layout; a glob passes over the others."""
    good = []
    for name in names:
        try:
            getter(name)  # type: ignore[operator]
        except VitvisError:
            continue
        good.append(name)
    return good


def drawn(count: int, width: int, site: str, seed: int) -> list[int]:
    """Draw distinct units of a site, increasing; they depend on the seed, the site's name and the width alone."""
    import random

    key = hashlib.sha256(f"{seed}/{site}/{width}".encode()).digest()
    return sorted(random.Random(key).sample(range(width), count))


def _span(text: str, size: int, what: str, site: Site, address: str) -> range:
    """`5` or `0-7` or `*`, checked against a size."""
    if text == "*":
        return range(size)
    if not _NUMBERS.fullmatch(text):
        raise VitvisError(f"units '{address}': '{text}' is no {what}; write 5, 0-7, 0,3,5, * or ~8")
    first, _, last = text.partition("-")
    start, stop = int(first), int(last or first)
    if start > stop:
        raise VitvisError(f"units '{address}': the range {text} runs backwards; write {stop}-{start}")
    if stop >= size:
        raise VitvisError(f"units '{address}': no {what} {stop} in {site.name}, which has {size} (0-{size - 1})")
    return range(start, stop + 1)


def expand_units(
    choice: str, width: int, site: Site, address: str, seed: int, *, directions: bool = False
) -> list[int]:
    """Expand the part after the colon to channels (or rows of a file of directions).

    Items, apart by commas: `5`, `0-7`, `*`, `~8` (eight drawn by seed), and for sites with heads `h2` (all of head 2),
    `h2.5`, `h0-3.0-7`, `h*.0`.
    """
    what = "direction" if directions else "unit"
    found: dict[int, None] = {}
    for item in (piece.strip() for piece in choice.split(",")):
        if item.startswith("~"):
            if not re.fullmatch(rf"\d{{1,{_DIGITS}}}", item[1:]) or int(item[1:]) < 1:
                raise VitvisError(f"units '{address}': '{item}' is no number to draw; write ~8")
            if int(item[1:]) > width:
                raise VitvisError(f"units '{address}': can't draw {item[1:]} of the {width} {what}s of {site.name}")
            found.update(dict.fromkeys(drawn(int(item[1:]), width, site.name, seed)))
        elif item.startswith("h") and not directions:
            found.update(dict.fromkeys(_head_units(item, site, address)))
        else:
            found.update(dict.fromkeys(_span(item, width, what, site, address)))
    return list(found)


def _head_units(item: str, site: Site, address: str) -> list[int]:
    if site.heads is None:
        raise VitvisError(f"units '{address}': site {site.name} ({site.kind}) has no heads; write the unit's index")
    if site.kind == "attn" and not site.name.endswith("attn_heads"):
        raise VitvisError(
            f"units '{address}': the output projection has mixed the heads of {site.name}; use {site.name}_heads:{item}"
        )
    heads, _, channels = item[1:].partition(".")
    size = site.width // site.heads
    return [
        head * size + channel
        for head in _span(heads, site.heads, "head", site, address)
        for channel in _span(channels or "*", size, "channel of a head", site, address)
    ]
