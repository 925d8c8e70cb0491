"""One grammar decides where an address ends, for command lines, files and Python."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitvis.config.addresses import parse_addresses, split_addresses


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("blocks.0.mlp:1,blocks.1.mlp:2,5", ["blocks.0.mlp:1", "blocks.1.mlp:2,5"]),
        ("blocks.1.q:h*.0,h1,h0-3.0-7,-head:2", ["blocks.1.q:h*.0,h1,h0-3.0-7", "-head:2"]),
        ("a.b:3,  4 ,5;c:1\nd:2", ["a.b:3,4,5", "c:1", "d:2"]),
        ("[blocks.{0,5}.mlp:3,17, head:~8]", ["blocks.{0,5}.mlp:3,17", "head:~8"]),
        ("['a.b:3', \"c.d:4,5\"]", ["a.b:3", "c.d:4,5"]),
        ("text:a photo of a dog, text:b,head:1", ["text:a photo of a dog", "text:b", "head:1"]),
        ('-text:"a, b; c"*0.5+"d, e:f"*-1 , head:1', ['-text:"a, b; c"*0.5+"d, e:f"*-1', "head:1"]),
        ("blocks.4.mlp@/tmp/x.npy:0,1,head:2", ["blocks.4.mlp@/tmp/x.npy:0,1", "head:2"]),
        (["a.b:1 c:2", "d:3,4"], ["a.b:1", "c:2", "d:3,4"]),
        ("[]", []),
    ],
)
def test_addresses_are_told_apart(text: str | list[str], expected: list[str]) -> None:
    assert split_addresses(text) == expected
    assert split_addresses(expected) == expected, "what is split stays as it is"


@given(st.text(alphabet="ab.:,;*{}[]()\"'h0 1-+@\n", max_size=30))
def test_any_text_is_split_once_and_for_all(text: str) -> None:
    addresses = split_addresses(text)
    assert all(address and address == address.strip() for address in addresses)


def test_other_types_are_left_to_the_setting() -> None:
    assert parse_addresses(None) is None and parse_addresses([1]) == [1]
