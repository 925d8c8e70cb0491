"""Matching: against a slow loop over channels, on transformers and on a CNN, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from vitvis.backbones import Tap, load_backbone, parse_units
from vitvis.errors import VitvisError
from vitvis.fit.matching import Album, Matching, choose_match_sites, quantile_distance
from vitvis.fit.settings import MatchSettings
from vitvis.runs import RunFolder

ADDRESSES = ("blocks.1.mlp:3", "blocks.1.mlp:5")


@pytest.fixture()
def search(backbone, tmp_path):
    """A search's folder: six photos, two units."""
    generator = torch.Generator().manual_seed(0)
    identity = {"backbone": {"name": backbone.name, "weights_id": backbone.weights_id}}
    with RunFolder.open(tmp_path / "search", kind="search", settings={}, identity=identity) as folder:
        records = [
            {"address": address, "strongest_index": [place, 2, 5], "weakest_index": [4, 3, 1]}
            for place, address in enumerate(ADDRESSES)
        ]
        folder.write_shard("all", records, {})
    (tmp_path / "search" / "thumbs").mkdir()
    for index in range(6):
        pixels = (torch.rand(32, 32, 3, generator=generator) * 255).byte().numpy()
        Image.fromarray(pixels).save(tmp_path / "search" / "thumbs" / f"{index}.jpg")
    return tmp_path / "search"


def test_distance_against_a_slow_loop() -> None:
    generator = torch.Generator().manual_seed(1)
    found, wanted = torch.randn(4, 7, 3, generator=generator), torch.randn(2, 7, 3, generator=generator)
    found, spread = found.sort(dim=1).values, torch.tensor([2.0, 0.5])
    got = quantile_distance(found, wanted, spread)
    for unit in range(2):
        total = 0.0
        for copy in range(2):
            for channel in range(3):
                for token in range(7):
                    total += float(found[2 * unit + copy, token, channel] - wanted[unit, token, channel]) ** 2
        assert got[unit] == pytest.approx(total / (2 * 3 * 7) / float(spread[unit]), rel=1e-5)


def test_an_image_is_at_no_distance_from_itself_wherever_its_tokens_are(backbone, search) -> None:
    units = parse_units(ADDRESSES[:1], backbone.sites)
    album = Album(MatchSettings(search=str(search), photos=1), backbone)
    matching = Matching(backbone, backbone.sites["blocks.1.mlp"], units, album, torch.device("cpu"))
    assert matching.photos == [[0]]
    with Tap(backbone, matching.sites) as tap:
        photo = tap(album.load([0]))
        shuffled = {name: torch.cat([x[:, :1], x[:, 1:].flip(1)], dim=1) for name, x in photo.items()}  # CLS stays
        other = tap(album.load([1]))
    assert matching.distance(photo) < 1e-10 and matching.distance(shuffled) < 1e-10
    assert matching.distance(other) > 1e-3


def test_a_unit_is_matched_the_same_alone_and_in_company(backbone, search) -> None:
    album = Album(MatchSettings(search=str(search)), backbone)
    site, device = backbone.sites["blocks.1.mlp"], torch.device("cpu")
    both = parse_units(ADDRESSES, backbone.sites)
    images = album.load([3, 4])
    matching = Matching(backbone, site, both, album, device)
    with Tap(backbone, matching.sites) as tap:
        together = matching.distance(tap(images))
        for place in range(2):
            alone = Matching(backbone, site, both[place : place + 1], album, device)
            torch.testing.assert_close(alone.distance(tap(images[place : place + 1]))[0], together[place])


def test_quantiles_are_the_mean_over_the_photos(backbone, search) -> None:
    units = parse_units(["-blocks.1.mlp:3"], backbone.sites)
    album = Album(MatchSettings(search=str(search), photos=2, sites=["blocks.0.block"]), backbone)
    matching = Matching(backbone, backbone.sites["blocks.1.mlp"], units, album, torch.device("cpu"))
    assert matching.photos == [[4, 3]]  # a minimised unit: the photos that excite it least
    slow = []
    for index in (4, 3):
        with Tap(backbone, matching.sites) as tap:
            tokens = tap(album.load([index]))["blocks.0.block"][0, 1:]
        slow.append(torch.stack([torch.tensor(sorted(column.tolist())) for column in tokens.T], dim=1))
    torch.testing.assert_close(matching.wanted["blocks.0.block"][0], (slow[0] + slow[1]) / 2, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("model", "site", "last"), [("resnet10t", "layer3.0.block", "layer3.0.block"), ("vit_tiny_patch16_224", "head", "")]
)
def test_sites_end_at_the_unit(model, site, last) -> None:
    sites = load_backbone(model, weights="none", image_size=64).sites
    chosen = choose_match_sites(sites[site], sites)
    order = list(sites)
    assert 1 <= len(chosen) <= 4 and all(other.kind == "block" for other in chosen)
    assert all(order.index(other.name) <= order.index(site) for other in chosen)
    assert not last or chosen[-1].name == last


def test_the_first_blocks_units_are_matched_at_their_own_site(backbone) -> None:
    site = backbone.sites["blocks.0.mlp"]
    assert choose_match_sites(site, backbone.sites) == [site]
    with pytest.raises(VitvisError, match=r"match.sites=\['blocks.9.\*'\]"):
        choose_match_sites(site, backbone.sites, ["blocks.9.*"])


def test_what_it_refuses(backbone, search, tmp_path) -> None:
    album = Album(MatchSettings(search=str(search)), backbone)
    with pytest.raises(VitvisError, match=r"did not watch blocks.1.mlp:4"):
        album.photos(parse_units(["blocks.1.mlp:4"], backbone.sites)[0])
    other = load_backbone("vit_tiny_patch16_224", weights="none", image_size=32, depth=1, embed_dim=48, num_heads=3)
    with pytest.raises(VitvisError, match="is a search of"):
        Album(MatchSettings(search=str(search)), other)
    with pytest.raises(VitvisError):
        Album(MatchSettings(search=str(tmp_path / "none")), backbone)
