"""Where one unit address ends and the next begins: the one place that knows, for command lines, files and Python.

What an address means is said in `vitvis.backbones.addresses`; this module needs no torch, so that settings can be read
without it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from vitvis.errors import VitvisError

__all__ = ["is_prompt", "parse_addresses", "split_addresses", "split_file"]

_PROMPT = re.compile(r"\s*[-+]?(text|image):")
_BEGINS = re.compile(r"\s*[\"']?[-+]?[A-Za-z_*?\[{].*[:@.]", re.DOTALL)
_HEADS = re.compile(r"\s*h(\d|\*)[\d.:*-]*\s*")  # units of heads, `h2`, `h0-3.0-7`, `h*.0`
_CLOSING = {"[": "]", "{": "}", "(": ")"}


def is_prompt(address: str) -> bool:
    """Say whether an address is a prompt: `text:"a dog"`, `image:FILE`, or a sum of them."""
    return _PROMPT.match(address) is not None


def split_addresses(addresses: str | Iterable[str]) -> list[str]:
    """Split a text, or the texts of a list, into addresses.

    Addresses are apart by blanks, line ends, semicolons, or a comma after which a site or a prompt follows; a comma
    between numbers belongs to a list of units (`blocks.0.mlp:3,17`). Within quotes, brackets and braces nothing is
    apart, and in a prompt blanks are part of its words. Brackets around the whole and quotes around an address go.
    """
    texts = [addresses] if isinstance(addresses, str) else [str(text) for text in addresses]
    return [address for text in texts for address in _split(text)]


def split_file(address: str) -> tuple[str, str | None, str]:
    """Split `SITE[@FILE][:UNITS]` into site, file (None: there is none) and units ("" where none are named)."""
    site, at, rest = address.partition("@")
    if at:
        file, colon, choice = rest.rpartition(":")
        if not colon or "/" in choice or "\\" in choice or choice.endswith((".npy", ".safetensors", ".pt", ".pth")):
            file, choice = rest, "*"
        return site, file, choice or "*"
    site, _, choice = address.rpartition(":")
    return site, None, choice


def parse_addresses(value: Any) -> Any:
    """Split the texts of a setting; what is no text or list of texts is for the setting's type to refuse.

    Raises:
        VitvisError: a text that names no unit, whatever the model.
    """
    if isinstance(value, str) or isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        found = split_addresses(value)
        for text in (text for text in found if ":" not in text and "@" not in text):
            raise VitvisError(
                f"units '{text}': no unit named; write SITE:UNITS, for example '{text}:0-7', '{text}:*' or '{text}:~8'"
            )
        return found
    return value


def _split(text: str) -> list[str]:
    text = text.strip()
    if text.startswith("[") and _end_of_bracket(text) == len(text) - 1:
        text = text[1:-1]
    found: list[str] = []
    joined = False  # the last separator was a comma that may belong to a list of units
    for piece, separator in _pieces(text):
        if joined and found and not (_BEGINS.match(piece) and not _HEADS.fullmatch(piece)):
            found[-1] += f",{piece.strip()}"
        elif piece.strip():
            found.append(piece)
        joined = separator == ","
    return [address for address in (_unquote(piece.strip().strip(",").strip()).strip() for piece in found) if address]


def _pieces(text: str) -> list[tuple[str, str]]:
    """Cut at every separator outside brackets and quotes (`text:"a, b"`); each piece with the separator behind it."""
    pieces: list[tuple[str, str]] = []
    start, quote, stack = 0, "", []
    for position, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'" and (
            text[position - 1] in ":+" or not text[start:position].strip(" -+")
        ):  # also text:"a, b"
            quote = character
        elif character in _CLOSING:
            stack.append(_CLOSING[character])
        elif stack:
            if character == stack[-1]:
                stack.pop()
        elif character in ",;\n" or character.isspace() and _ended(text[start:position]):
            pieces.append((text[start:position], character))
            start = position + 1
    return [*pieces, (text[start:], "")]


def _ended(piece: str) -> bool:
    """Say whether a blank ends an address: one has begun, and it is no prompt, whose words have blanks between them."""
    return bool(piece.strip()) and not is_prompt(piece)


def _end_of_bracket(text: str) -> int:
    """Position of the bracket that closes the first one, or -1."""
    stack: list[str] = []
    for position, character in enumerate(text):
        if character in _CLOSING:
            stack.append(_CLOSING[character])
        elif stack and character == stack[-1]:
            stack.pop()
            if not stack:
                return position
    return -1


def _unquote(text: str) -> str:
    return text[1:-1] if len(text) >= 2 and text[0] in "\"'" and text[-1] == text[0] else text
