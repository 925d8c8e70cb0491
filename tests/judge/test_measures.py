"""Measures of single pictures against other libraries, closed forms and slow loops."""

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest
import torch

from vitvis.judge import choice, transfer, verdict
from vitvis.judge.agreement import agreement
from vitvis.judge.naturalness import clipped, kernel_distance, radial_spectrum, spectrum_distance
from vitvis.judge.seam import seam
from vitvis.judge.transfer import match_classes
from vitvis.judge.verdict import beats_best_photo, indifferent


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("module", [choice, transfer, verdict])
def test_doctests(module) -> None:
    assert doctest.testmod(module).failed == 0


def test_transfer_ranks_and_probabilities_are_those_of_a_sort_and_of_numpy() -> None:
    logits = noise(50, 30).mul(8)
    classes = torch.arange(50) % 30
    found = transfer.transfer(logits, classes)
    for row, own in enumerate(classes.tolist()):
        order = np.argsort(-logits[row].numpy())
        assert found.rank[row] == 1 + list(order).index(own)
        powers = np.exp(logits[row].double().numpy())
        assert found.probability[row].item() == pytest.approx(powers[own] / powers.sum(), rel=1e-5)
    flat = transfer.transfer(torch.zeros(1, 9), torch.tensor([0]))
    assert flat.rank.item() == 5  # a judge that can't decide gives nobody the first place
    with pytest.raises(ValueError, match="belong together"):
        transfer.transfer(logits, classes[:3])


def test_classes_match_by_wordnet_id_else_by_name() -> None:
    assert match_classes(["n2", "n9"], ["x", "y"], ["n1", "n2"], ["a", "b"]) == [1, None]
    assert match_classes(None, ["Tabby, tabby cat", "crane", "German-shepherd"], ["n1"], None) == [None] * 3
    judge = ["crane", "tabby", "german shepherd, alsatian", "Crane"]
    assert match_classes(None, ["Tabby, tabby cat", "crane", "German-shepherd"], None, judge) == [1, None, 2]


def test_seam_is_one_without_a_grid_and_counts_the_gradient_at_borders() -> None:
    assert seam(noise(4, 3, 64, 64), (8, 8)).numpy() == pytest.approx(1.0, abs=0.05)
    tiles = noise(2, 3, 8, 8).repeat_interleave(8, 2).repeat_interleave(8, 3)
    assert torch.isnan(seam(torch.full((1, 3, 64, 64), 0.5), (8, 8))).all()
    image = noise(1, 3, 24, 32, seed=1) * 0.2 + tiles[:1, :, :24, :32] * 0.8
    plane = image[0].double().numpy()
    on, off = [], []
    for y in range(24):
        for x in range(4, 29):
            (on if x % 8 == 0 else off).append(np.abs(plane[:, y, x] - plane[:, y, x - 1]).mean())
    for y in range(3, 22):
        for x in range(32):
            (on if y % 6 == 0 else off).append(np.abs(plane[:, y, x] - plane[:, y - 1, x]).mean())
    assert seam(image, (4, 4)).item() == pytest.approx(np.mean(on) / np.mean(off), rel=1e-5)
    for grid in ((8, 8), (1, 1)):  # every step is one between patches, and none is
        assert math.isnan(seam(noise(1, 3, 8, 8), grid).item())
    with pytest.raises(ValueError, match="do not fit"):
        seam(noise(1, 3, 8, 8), (9, 9))


def test_seam_is_nearly_one_where_a_texture_fades_towards_the_edges() -> None:
    side = torch.hann_window(66, periodic=False)[1:-1]
    faded = (noise(32, 3, 64, 64) - 0.5) * side[:, None] * side
    assert seam(faded, (4, 4)).mean().item() == pytest.approx(1.0, abs=0.06)  # 1.32 beside all of the picture


def test_spectrum_of_known_images() -> None:
    column = torch.arange(64) / 64
    wave = 0.5 + 0.3 * torch.sin(2 * math.pi * 8 * column).expand(1, 3, 64, 64)
    assert radial_spectrum(wave).argmax().item() == 7  # ring 0 is one cycle an image
    white = radial_spectrum(noise(40, 3, 64, 64)).mean(0)
    assert (white - white.mean()).abs().max() < 1.0  # dB
    faint = radial_spectrum(0.5 + 0.01 * (noise(40, 3, 64, 64) - 0.5)).mean(0)
    assert faint.numpy() == pytest.approx(white.numpy(), abs=1e-3)  # contrast does not count
    radius = torch.fft.fftfreq(64)[:, None].square() + torch.fft.fftfreq(64)[None].square()
    pink = torch.fft.ifft2(torch.fft.fft2(noise(40, 3, 64, 64)) / radius.sqrt().clamp(min=1 / 64)).real
    slope = radial_spectrum(pink).mean(0)
    assert (slope[3] - slope[15]).item() == pytest.approx(
        20 * math.log10(4), abs=1.0
    )  # amplitude 1 / f: 12 dB in 2 octaves
    photos = radial_spectrum(pink[:20])
    assert (
        spectrum_distance(radial_spectrum(pink[20:]), photos).max() < 3 < spectrum_distance(white[None], photos).min()
    )
    assert torch.isfinite(radial_spectrum(torch.full((1, 3, 16, 16), 0.5))).all()


def test_clipped_counts_what_eight_bits_can_not_tell_from_the_ends() -> None:
    image = torch.full((1, 3, 10, 10), 0.5)
    image[0, :, 0] = 0.0
    image[0, 0, 1] = 1.0
    assert clipped(image).item() == pytest.approx((30 + 10) / 300)


def test_kernel_distance_is_unbiased_and_equals_the_formula() -> None:
    first, second = torch.randn(60, 16, generator=torch.Generator().manual_seed(0)), torch.zeros(0)
    second = torch.randn(60, 16, generator=torch.Generator().manual_seed(1))
    found = kernel_distance(first, second, subset=60, subsets=1)
    assert found is not None
    x, y = first.double().numpy(), second.double().numpy()
    kernel = lambda a, b: (a @ b.T / 16 + 1) ** 3  # noqa: E731
    xx, yy, xy = kernel(x, x), kernel(y, y), kernel(x, y)
    within = (xx.sum() - np.trace(xx) + yy.sum() - np.trace(yy)) / (60 * 59)
    assert found[0] == pytest.approx(within - 2 * xy.mean(), abs=1e-6)
    same = [kernel_distance(torch.randn(40, 8), torch.randn(40, 8), subset=40, subsets=1)[0] for _ in range(60)]  # type: ignore[index]
    assert abs(np.mean(same)) < 4 * np.std(same) / math.sqrt(60)  # a biased one would be above 0
    assert kernel_distance(first[:9], second) is None


def test_agreement_equals_a_loop() -> None:
    draw = np.random.default_rng(0)
    directions = draw.normal(size=(9, 5))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    units = ["a", "a", "a", "b", "b", "c", "c", "d", "e"]
    found = agreement(directions, units)
    for place, unit in enumerate(units):
        shares = [
            float(directions[place] @ directions[sibling] > directions[place] @ directions[stranger])
            for sibling in range(9) if units[sibling] == unit and sibling != place
            for stranger in range(9) if units[stranger] != unit
        ]  # fmt: skip
        assert found[place] == pytest.approx(np.mean(shares), nan_ok=True) if shares else math.isnan(found[place])
    many = draw.normal(size=(400, 24))
    many /= np.linalg.norm(many, axis=1, keepdims=True)
    assert np.mean(agreement(many, [str(place // 2) for place in range(400)])) == pytest.approx(0.5, abs=0.05)


def test_verdict_is_nothing_for_the_dead_and_negative_for_the_misleading() -> None:
    def judge(**changes: object) -> float | None:
        unknown = {"ok": True, "indifferent": None, "choice": None, "rank": None}
        return verdict.verdict(**(unknown | changes))  # type: ignore[arg-type]

    assert judge() is None
    assert judge(choice=float("nan")) is None
    assert judge(choice=0.5) == 0
    assert judge(choice=0.2) == pytest.approx(-0.6)
    assert judge(rank=1) == 1 and judge(rank=5) == 0.5 and judge(rank=6) == 0
    assert judge(choice=1.0, rank=1) == 1
    assert judge(choice=1.0, rank=1, ok=False) == 0
    assert judge(choice=1.0, rank=1, indifferent=True) == 0


def test_own_unit_has_to_fire_as_on_its_strongest_tenth() -> None:
    record = {
        "strongest_activation": [4.0, 3.0], "weakest_activation": [-2.0, -1.0],
        "decile_activation": [-1.5, -0.5, 1.0, 2.0], "decile": [0, 0, 9, 9],
    }  # fmt: skip
    assert indifferent(1.4, record) is True and indifferent(1.6, record) is False
    assert indifferent(0.9, record, minimised=True) is True and indifferent(1.1, record, minimised=True) is False
    assert beats_best_photo(4.1, record) is True and beats_best_photo(3.9, record) is False
    assert beats_best_photo(2.1, record, minimised=True) is True
    assert indifferent(None, record) is None and beats_best_photo(1.0, None) is None
