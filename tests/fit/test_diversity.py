"""Variants of a unit: the term against Gram matrices that are made, the gate against a slow loop, and whole fits."""

from __future__ import annotations

import pytest
import torch

from vitvis.backbones import Tap, load_backbone, parse_units
from vitvis.config.core import merge
from vitvis.errors import VitvisError
from vitvis.fit.chunks import plan_chunks, variant_seeds, without
from vitvis.fit.diversity import Diversity, Gate, choose_diversity_site, gram_cosines, photos_of
from vitvis.fit.settings import DiversitySettings, FitSettings
from vitvis.runs import RunFolder

VARIED = {"variants": 3, "steps": 12, "copies": 1, "diversity": {"ask": 0.0, "over": 0.5}}


def cosine(first: torch.Tensor, second: torch.Tensor) -> float:
    """Return the cosine of two Gram matrices, entry by entry."""
    one, two = first.T @ first, second.T @ second
    return float((one * two).sum() / (one.square().sum().sqrt() * two.square().sum().sqrt()))


@pytest.mark.parametrize("shape", [(2, 3, 5, 9), (2, 3, 9, 5)], ids=["few tokens", "few channels"])
def test_cosines_are_those_of_gram_matrices_that_are_made(shape) -> None:
    features = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    got = gram_cosines(features, features)
    for group in range(2):
        for v in range(3):
            for w in range(3):
                assert got[group, v, w] == pytest.approx(cosine(features[group, v], features[group, w]), abs=1e-9)
    torch.testing.assert_close(got.diagonal(dim1=-2, dim2=-1), torch.ones(2, 3, dtype=torch.float64))


def diversity(backbone, units: str, **settings) -> Diversity:
    (chunk,) = plan_chunks(parse_units(units, backbone.sites), [0], backbone.sites, 64, 3)
    spread = torch.full((len(chunk),), 0.5)
    return Diversity(DiversitySettings(**settings), backbone, chunk, spread, 10, "patches", None)


def test_the_term_against_a_slow_loop_and_the_first_variant_is_left_alone(backbone) -> None:
    part = diversity(backbone, "blocks.1.mlp:3,5", weight=2.0)
    part.gate.vigour = torch.tensor([1.0, 0.25])
    tokens, copies = 17, 2
    found = torch.randn(6 * copies, tokens, 192, generator=torch.Generator().manual_seed(1))
    activations = torch.tensor([1.0, -2.0, 0.1, 4.0, float("nan"), 3.0])
    term = part.term(activations, {"blocks.1.mlp": found})
    features = found[:, 1:].view(2, 3, copies, tokens - 1, 192)  # without CLS
    for group, vigour in enumerate((1.0, 0.25)):
        own = features[group] - features[group].mean(dim=(0, 1, 2))
        for v, scale in enumerate((None, 2.0, 0.5) if not group else (None, 0.5, 3.0)):
            alike = [cosine(own[v, a], own[w, a]) for w in range(3) if w != v for a in range(copies)]
            expected = 0.0 if scale is None else 2.0 * vigour * scale * sum(alike) / len(alike)
            assert float(term[3 * group + v]) == pytest.approx(expected, rel=1e-4)


def test_each_variant_moves_for_itself_alone(backbone) -> None:
    part = diversity(backbone, "blocks.1.mlp:3")
    found = torch.randn(3, 17, 192, generator=torch.Generator().manual_seed(2), requires_grad=True)
    part.term(torch.ones(3), {"blocks.1.mlp": found})[1].backward()
    assert found.grad is not None and found.grad[1].abs().max() > 0
    assert found.grad[0].abs().max() == 0 and found.grad[2].abs().max() == 0


def test_the_gate_against_a_slow_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    weakest, floor = torch.randn(20, 2, generator=generator), torch.tensor([0.3, -2.0])
    gate, slow = Gate(2, 0.05, torch.device("cpu")), [1.0, 1.0]
    for row in weakest:
        gate.follow(row, floor, 2)
        for place in range(2):
            margin = (float(row[place]) - float(floor[place])) / (0.1 * abs(float(floor[place])))
            slow[place] = min(1.0, max(0.0, slow[place] + max(-1.0, min(1.0, margin)) * 0.05 * 2))
        torch.testing.assert_close(gate.vigour, torch.tensor(slow))
    for _ in range(20):
        gate.follow(torch.tensor([float("nan"), -1.0]), floor, 2)
    assert gate.vigour.tolist() == [0.0, 1.0]


def test_what_the_weakest_has_to_reach(backbone) -> None:
    part = diversity(backbone, "blocks.1.mlp:3,5", keep=0.75)
    weakest, floor = part.weakest(torch.tensor([4.0, 3.1, 3.5, -2.0, -2.6, -2.4]))
    torch.testing.assert_close(weakest, torch.tensor([3.1, -2.6]))
    torch.testing.assert_close(floor, torch.tensor([3.0, -2.5]))
    rows = part.describe(torch.tensor([4.0, 3.1, 3.5, -2.0, -2.6, -2.4]))
    assert [row["variant"] for row in rows] == [0, 1, 2, 0, 1, 2]
    assert [row["gate"] for row in rows] == [True] * 3 + [False] * 3


@pytest.mark.parametrize(
    ("model", "site", "wanted"),
    [("resnet10t", "layer2.0.block", "layer2.0.block"), ("resnet10t", "head", "layer4.0.block"),
     ("vit_tiny_patch16_224", "head", "blocks.11.block")],
)  # fmt: skip
def test_classes_are_told_apart_at_the_last_block(model, site, wanted) -> None:
    sites = load_backbone(model, weights="none", image_size=64).sites
    assert choose_diversity_site(sites[site], sites).name == wanted


def test_seeds_name_groups_that_are_never_parted(backbone) -> None:
    assert variant_seeds([0, 3, 9], 4) == [0, 1, 2, 3, 8, 9, 10, 11]
    units = parse_units("blocks.1.mlp:0-4", backbone.sites)
    chunks = plan_chunks(units, [1], backbone.sites, 7, 3)
    assert [len(chunk) for chunk in chunks] == [6, 6, 3] and chunks[0].seeds == (0, 1, 2) * 2
    assert [len(chunk) for chunk in plan_chunks(units, [1], backbone.sites, 2, 3)] == [3] * 5
    done = {target for target in chunks[0].targets if target != ("blocks.1.mlp:1", 2)}
    assert without(chunks[0], done).targets == chunks[0].targets[3:]  # all of them again, or they would not belong
    assert not without(chunks[0], set(chunks[0].targets)).units


def test_variants_differ_where_the_model_looks_and_the_first_is_the_plain_picture(backbone, fit) -> None:
    _, varied, rows = fit("blocks.1.mlp:4", VARIED | {"diversity": {"weight": 3.0}})
    _, plain, _ = fit("blocks.1.mlp:4", VARIED | {"variants": 1}, seeds=(0, 1, 2))
    assert varied.keys() == plain.keys() == {("blocks.1.mlp:4", seed) for seed in range(3)}
    torch.testing.assert_close(varied["blocks.1.mlp:4", 0], plain["blocks.1.mlp:4", 0], atol=1e-5, rtol=0)

    def alike(images) -> float:
        with Tap(backbone, [backbone.sites["blocks.1.mlp"]]) as tap:
            found = tap(torch.stack([images["blocks.1.mlp:4", seed] for seed in range(3)]))["blocks.1.mlp"][:, 1:]
        features = found - found.mean(dim=(0, 1))
        return sum(cosine(features[v], features[w]) for v, w in ((0, 1), (0, 2), (1, 2))) / 3

    assert alike(varied) < alike(plain) - 0.02
    assert {row["variant"] for row in rows.values()} == {0, 1, 2}


def test_a_units_variants_do_not_depend_on_other_units(fit) -> None:
    _, together, rows = fit("blocks.1.mlp:0-3", VARIED)
    _, alone, row = fit("blocks.1.mlp:2", VARIED)
    for seed in range(3):
        key = ("blocks.1.mlp:2", seed)
        torch.testing.assert_close(alone[key], together[key], atol=1e-5, rtol=0)
        assert row[key]["gate"] == rows[key]["gate"]


def test_a_gate_that_is_not_passed_takes_the_weight_away(fit) -> None:
    hard = {"variants": 3, "steps": 48, "copies": 1}
    _, plain, _ = fit("blocks.1.mlp:4", {"steps": 48, "copies": 1}, seeds=(1,))
    _, open_, open_rows = fit("blocks.1.mlp:4", hard | {"diversity": {"weight": 50.0, "ask": 1.0}})
    _, shut, shut_rows = fit(
        "blocks.1.mlp:4", hard | {"diversity": {"weight": 50.0, "over": 0.05, "ask": 0.0, "keep": 1.0}}
    )
    key = ("blocks.1.mlp:4", 1)
    assert open_rows[key]["diversity"] == 1 and shut_rows[key]["diversity"] < 0.2
    assert (shut[key] - plain[key]).abs().mean() < 0.9 * (open_[key] - plain[key]).abs().mean()


def test_the_gate_asks_the_units_best_photo(backbone, tmp_path) -> None:
    identity = {"backbone": {"name": backbone.name, "weights_id": backbone.weights_id}}
    details = {"recipe": {"tokens": "patches"}}
    with RunFolder.open(tmp_path / "search", kind="search", settings={}, identity=identity | details) as folder:
        record = {"address": "blocks.1.mlp:3", "strongest_activation": [2.5, 1.0], "weakest_activation": [-4.0, -3.0]}
        folder.write_shard("all", [record], {})
    settings = DiversitySettings(search=str(tmp_path / "search"))
    units = parse_units(["blocks.1.mlp:3", "-blocks.1.mlp:3"], backbone.sites)
    photos = photos_of(settings, backbone, units, "patches")
    assert photos is not None and [photos.best(unit) for unit in units] == [2.5, 4.0]
    with pytest.raises(VitvisError, match="diversity.search=.*: read tokens=patches, and objective.tokens=cls"):
        photos_of(settings, backbone, units, "cls")
    with pytest.raises(VitvisError, match="diversity.search=.*: did not watch blocks.1.mlp:5"):
        photos_of(settings, backbone, parse_units(["blocks.1.mlp:5"], backbone.sites), "patches")


def test_stopping_one_by_one_does_not_go_with_variants() -> None:
    with pytest.raises(VitvisError, match="stop: images stop one by one, and variants=2"):
        merge(FitSettings, ["variants=2", "stop={}"])
