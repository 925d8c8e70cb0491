"""Easing off: against a slow loop over the steps, and what decides it."""

from __future__ import annotations

import pytest
import torch

from vitvis.config.core import merge
from vitvis.errors import VitvisError
from vitvis.fit.ease import Ease
from vitvis.fit.settings import EaseSettings, FitSettings


def slow(readings: list[float], spread: float, settings: EaseSettings, steps: int) -> list[float]:
    """Walk through the readings of one unit, one number at a time."""
    vigour, strengths = 1.0, []
    for reading in readings:
        z = reading / spread
        if z <= settings.asleep:
            change = -1.0
        elif z >= settings.awake:
            change = 1.0
        else:
            change = -1 + 2 * (z - settings.asleep) / (settings.awake - settings.asleep)
        vigour = min(1.0, max(0.0, vigour + change / (settings.over * steps)))
        strengths.append(settings.mild + (1 - settings.mild) * vigour)
    return strengths


def test_every_image_follows_its_own_unit() -> None:
    settings = EaseSettings(mild=0.2, over=0.25, asleep=-0.5, awake=1.5)
    generator = torch.Generator().manual_seed(0)
    readings, spread = torch.randn(40, 3, generator=generator) * 2, torch.tensor([0.5, 1.0, 4.0])
    ease, strengths = Ease(settings, spread, 40), []
    torch.testing.assert_close(ease.strength, torch.ones(3))
    for row in readings:
        ease.follow(row)
        strengths.append(ease.strength)
    for unit in range(3):
        expected = torch.tensor(slow(readings[:, unit].tolist(), float(spread[unit]), settings, 40))
        torch.testing.assert_close(torch.stack(strengths)[:, unit], expected, atol=1e-5, rtol=0)


def test_a_unit_that_sleeps_on_is_left_with_the_mild_share_and_one_that_wakes_gets_all_back() -> None:
    ease = Ease(EaseSettings(mild=0.3, over=0.5), torch.ones(2), 10)
    for _ in range(5):
        ease.follow(torch.tensor([-3.0, float("nan")]))
    torch.testing.assert_close(ease.strength, torch.tensor([0.3, 0.3]))
    for _ in range(5):
        ease.follow(torch.tensor([1.0, -1.0]))
    torch.testing.assert_close(ease.strength, torch.tensor([1.0, 0.3]))


def test_it_goes_on_from_its_state() -> None:
    ease = Ease(EaseSettings(), torch.tensor([2.0]), 10)
    ease.follow(torch.tensor([0.5]))
    other = Ease(EaseSettings(), torch.tensor([1.0]), 10)
    other.load_state_dict(ease.state_dict())
    for each in (ease, other):
        each.follow(torch.tensor([0.1]))
    assert torch.equal(ease.strength, other.strength) and ease.strength < 1


def test_no_room_between_asleep_and_awake_is_told_when_settings_are_read() -> None:
    with pytest.raises(VitvisError, match="augment.ease.asleep=2.0: has to be below"):
        merge(FitSettings, ["augment.ease.asleep=2"])
