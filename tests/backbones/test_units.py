"""The address language, tokens, and reading units."""

from __future__ import annotations

from pathlib import Path

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from vitvis.backbones import Site, Unit, parse_units, read_units, select_tokens
from vitvis.errors import VitvisError


def make(name: str, kind: str, width: int, depth: int, heads: int | None = None) -> Site:
    return Site(name, kind, name, width, "NLC", 1, (4, 4), depth, heads)


SITES = {
    site.name: site
    for depth in range(3)
    for site in (
        make(f"blocks.{depth}.q", "q", 12, depth, 3),
        make(f"blocks.{depth}.attn", "attn", 12, depth, 3),
        make(f"blocks.{depth}.attn_heads", "attn", 12, depth, 3),
        make(f"blocks.{depth}.mlp", "mlp", 48, depth),
        make(f"blocks.{depth}.block", "block", 12, depth),
    )
} | {"head": Site("head", "head", "", 1000, "NC", 0, None, 3)}


def addresses(text: str | list[str], seed: int = 0) -> list[str]:
    return [unit.address for unit in parse_units(text, SITES, seed)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("blocks.0.mlp:3", ["blocks.0.mlp:3"]),
        ("blocks.0.mlp:1-3,7", [f"blocks.0.mlp:{i}" for i in (1, 2, 3, 7)]),
        ("-head:207", ["-head:207"]),
        ("blocks.*.mlp:0", [f"blocks.{i}.mlp:0" for i in range(3)]),
        ("*.mlp:0", [f"blocks.{i}.mlp:0" for i in range(3)]),
        ("blocks.{0,2}.{q,mlp}:5", ["blocks.0.q:5", "blocks.0.mlp:5", "blocks.2.q:5", "blocks.2.mlp:5"]),
        ("blocks.{0..1}.block:1", ["blocks.0.block:1", "blocks.1.block:1"]),
        ("blocks.1.q:h2", [f"blocks.1.q:{i}" for i in range(8, 12)]),
        ("blocks.1.q:h0-1.3,h2.0", [f"blocks.1.q:{i}" for i in (3, 7, 8)]),
        ("blocks.1.q:h*.0", [f"blocks.1.q:{i}" for i in (0, 4, 8)]),
        ("blocks.0.mlp:1,blocks.1.mlp:2,5", ["blocks.0.mlp:1", "blocks.1.mlp:2", "blocks.1.mlp:5"]),
        ("blocks.0.mlp:1,-head:2", ["blocks.0.mlp:1", "-head:2"]),
        ("blocks.0.mlp:1 head:2;head:3", ["blocks.0.mlp:1", "head:2", "head:3"]),
        (["head:1", "blocks.0.mlp:4,4,4"], ["blocks.0.mlp:4", "head:1"]),
        ("blocks.0.mlp:1,1-2 blocks.0.mlp:2", ["blocks.0.mlp:1", "blocks.0.mlp:2"]),
    ],
)
def test_addresses(text: str | list[str], expected: list[str]) -> None:
    assert addresses(text) == expected


def test_all_units_of_a_site() -> None:
    assert addresses("blocks.0.block:*") == [f"blocks.0.block:{i}" for i in range(12)]


def test_drawn_units_depend_on_the_seed_alone() -> None:
    first = addresses("blocks.0.mlp:~8")
    assert len(set(first)) == 8 and first == addresses("blocks.0.mlp:~8 head:3")[:8]
    assert first != addresses("blocks.0.mlp:~8", seed=1)
    assert [a.rpartition(":")[2] for a in first] != [a.rpartition(":")[2] for a in addresses("blocks.1.mlp:~8")]


@given(st.lists(st.tuples(st.sampled_from(sorted(SITES)), st.integers(0, 11), st.sampled_from([1, -1])), min_size=1))
def test_an_address_reads_back_as_its_unit(choices: list[tuple[str, int, int]]) -> None:
    units = {Unit(*choice) for choice in choices}
    assert set(parse_units(",".join(unit.address for unit in units), SITES)) == units


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (":3", "names no site before its units"),
        ("blocks.1.mpl:0", "did you mean 'blocks.1.mlp'?"),
        ("block.*.mlp:0", "no site matches 'block.*.mlp'"),
        ("blocks.0.mlp:48", "no unit 48 in blocks.0.mlp, which has 48 (0-47)"),
        ("blocks.0.mlp:4-2", "write 2-4"),
        ("blocks.0.mlp", "no unit named"),
        ("blocks.0.mlp:", "no unit named"),
        ("blocks.0.mlp:x", "'x' is no unit"),
        ("blocks.0.mlp:~0", "write ~8"),
        ("blocks.0.mlp:~49", "can't draw 49 of the 48"),
        ("blocks.0.mlp:h1", "has no heads"),
        ("blocks.0.attn:h1.2", "use blocks.0.attn_heads:h1.2"),
        ("blocks.0.q:h3", "no head 3 in blocks.0.q, which has 3 (0-2)"),
        ("blocks.0.block@nowhere.npy:0", "no such file 'nowhere.npy'"),
        ("", "no address given"),
        ("blocks.{0..99999999999}.mlp:1", "no site 'blocks.3.mlp'"),
        ("*{0..99999999999}*:1", "no site matches '*3*'"),
        ("{,}" * 16 + "head:1", "more than 10000 names"),
        ("{a,b}" * 17 + ":1", "more than 16 braces"),
        ("*a" * 12 + "z:1", "no site matches"),  # would take for ever as a regular expression
        ("blocks.0.mlp:" + "9" * 5000, "is no unit"),
        ("blocks.0.mlp:999999999999", "no unit 999999999999"),
        ("blocks.0.mlp:~" + "9" * 5000, "write ~8"),
        ("blocks.0.q:h" + "9" * 5000, "is no head"),
        ("blocks.0.mlp:" + "1," * 60000, "longer than"),
    ],
)
def test_mistakes_are_explained_in_one_line(text: str, message: str) -> None:
    with pytest.raises(VitvisError) as caught:
        parse_units(text, SITES)
    assert message in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 1500


def test_directions_from_files(tmp_path: Path) -> None:
    rows = torch.randn(3, 12)
    numpy.save(tmp_path / "rows.npy", rows.numpy())
    save_file({"rows": rows}, tmp_path / "rows.safetensors")
    activations = torch.randn(2, 17, 12)
    site = SITES["blocks.1.block"]
    for file in (tmp_path / "rows.npy", tmp_path / "rows.safetensors"):
        units = parse_units([f"blocks.1.block@{file}", f"-blocks.1.block@{file}:1"], SITES)
        assert [(u.index, u.sign) for u in units] == [(0, 1), (1, 1), (2, 1), (1, -1)]
        assert units[3].address == f"-blocks.1.block@{file}:1"
        assert parse_units(units[3].address, SITES) == [units[3]]
        expected = torch.stack([(activations * row).sum(-1) for row in (rows[0], rows[1], rows[2], -rows[1])], dim=-1)
        torch.testing.assert_close(read_units(activations, units, site), expected)
    with pytest.raises(VitvisError, match=r"rows of 48 numbers"):
        parse_units(f"blocks.1.mlp@{tmp_path / 'rows.npy'}:0", SITES)
    numpy.save(tmp_path / "bad.npy", rows.numpy() * float("nan"))
    with pytest.raises(VitvisError, match="NaN"):
        parse_units(f"blocks.1.block@{tmp_path / 'bad.npy'}:0", SITES)


def test_reading_channels_and_signs() -> None:
    activations = torch.randn(2, 17, 48)
    units = [Unit("blocks.0.mlp", 5), Unit("blocks.0.mlp", 40, -1)]
    found = read_units(activations, units, SITES["blocks.0.mlp"])
    assert torch.equal(found, torch.stack([activations[..., 5], -activations[..., 40]], -1))


def test_tokens() -> None:
    site = SITES["blocks.0.mlp"]  # one class token, 4 x 4 patches
    activations = torch.arange(17.0).reshape(1, 17, 1)

    def chosen(tokens: object) -> list[int]:
        return select_tokens(activations, site, tokens).flatten().int().tolist()  # type: ignore[arg-type]

    assert chosen("patches") == list(range(1, 17))
    assert chosen("cls") == [0]
    assert chosen("all") == list(range(17))
    assert chosen(0) == [1] and chosen(-1) == [16] and chosen("5") == [6]
    assert chosen((1, 2, 3, 4)) == [1 + 4 + 2, 1 + 4 + 3, 1 + 8 + 2, 1 + 8 + 3]
    assert chosen("0,0,1,2") == [1, 2]
    for wrong, message in ((16, "16 patches"), ("patch", "did you mean 'patches'"), ((0, 0, 5, 1), "does not fit")):
        with pytest.raises(VitvisError, match=message):
            chosen(wrong)
    logits = torch.randn(2, 1, 1000)
    assert select_tokens(logits, SITES["head"]).shape == (2, 1, 1000)
    assert select_tokens(logits, SITES["head"], "cls").shape == (2, 1, 1000)
    with pytest.raises(VitvisError, match="no patches"):
        select_tokens(logits, SITES["head"], (0, 0, 1, 1))


def test_what_manifests_say_of_sites() -> None:
    assert SITES["blocks.1.mlp"].described == {
        "name": "blocks.1.mlp",
        "kind": "mlp",
        "depth": 1,
        "width": 48,
        "grid": [4, 4],
    }
    assert SITES["head"].described["grid"] is None
