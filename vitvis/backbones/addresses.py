"""The language of unit addresses: `SITE:UNITS`."""

from __future__ import annotations

import fnmatch
import hashlib
import re
from collections.abc import Iterable, Mapping

from vitvis.errors import VitvisError, nearest

from .site import Site

__all__ = ["drawn", "expand_braces", "expand_units", "match_sites", "split_addresses"]

_NUMBERS = re.compile(r"\d+|\d+-\d+")


def split_addresses(addresses: str | Iterable[str]) -> list[str]:
    """Split a text, or the texts of a list, into addresses.

    Addresses are apart by blanks, line ends, semicolons, or a comma after which a site follows (something with a letter
    other than a head's `h2`, before a colon or `@`). A comma between numbers belongs to a list of units.
    """
    texts = [addresses] if isinstance(addresses, str) else [str(text) for text in addresses]
    found: list[str] = []
    for text in texts:
        for piece in re.split(r"[;\s]+", text.strip()):
            if not piece:
                continue
            parts: list[str] = []
            for part in _split_commas(piece):
                begins = re.match(r"[-+]?[A-Za-z_*?\[{]", part) and re.search(r"[:@]", part)
                if parts and not (begins or re.match(r"[-+]?[A-Za-z_]\w*\.", part) and not re.match(r"h\d", part)):
                    parts[-1] += "," + part
                else:
                    parts.append(part)
            found.extend(part.strip(",") for part in parts if part.strip(","))
    return found


def _split_commas(text: str) -> list[str]:
    """Split at commas outside braces."""
    pieces, depth = [""], 0
    for character in text:
        depth += (character == "{") - (character == "}")
        if character == "," and depth == 0:
            pieces.append("")
        else:
            pieces[-1] += character
    return pieces


def expand_braces(pattern: str) -> list[str]:
    """Expand `a.{0,5}.b` and `a.{0..3}.b` like a shell."""
    match = re.search(r"\{([^{}]*)\}", pattern)
    if match is None:
        return [pattern]
    inside = match.group(1)
    numbers = re.fullmatch(r"(\d+)(?:\.\.|-)(\d+)", inside)
    if numbers:
        choices = [str(number) for number in range(int(numbers[1]), int(numbers[2]) + 1)]
    else:
        choices = [choice.strip() for choice in inside.split(",")]
    return [
        expanded
        for choice in choices
        for expanded in expand_braces(pattern[: match.start()] + choice + pattern[match.end() :])
    ]


def _glob(pattern: str, names: Iterable[str]) -> list[str]:
    """Names that match, `*` standing for one part of a path and `**` for any number."""
    parts = re.split(r"(\*\*|\*|\?)", pattern)
    special = {"**": ".*", "*": "[^.]*", "?": "[^.]"}
    expression = re.compile("".join(special.get(part, re.escape(part)) for part in parts))
    return [name for name in names if expression.fullmatch(name)]


def match_sites(pattern: str, sites: Mapping[str, Site], text: str) -> list[Site]:
    """Sites that a pattern names, in order of execution.

    A `*` first stands for one part of a dotted path; where nothing matches so, for any number of parts (`*.mlp` finds
    `layers.0.blocks.1.mlp`). Named sites come first; only where none matches are other submodules looked at.
    """
    getter = getattr(sites, "get_site", None)
    modules = getattr(sites, "module_paths", None)
    found: dict[str, Site] = {}
    for name in expand_braces(pattern):
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
        matches = _glob(name, sites) or fnmatch.filter(sites, name)
        if not matches and modules is not None and getter is not None:
            matches = _tappable(_glob(name, modules()), getter)
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
            if not item[1:].isdigit() or int(item[1:]) < 1:
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
