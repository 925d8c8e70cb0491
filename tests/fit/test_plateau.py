"""Stopping at the plateau: the rate against a slow loop, images that leave, and going on from the middle."""

from __future__ import annotations

import math

import pytest
import torch
from pytorch_lightning import Callback

from vitvis.fit.plateau import Plateau
from vitvis.fit.settings import StopSettings
from vitvis.fit.timing import bare_steps

STOPPING = {"steps": 40, "copies": 1, "stop": {"patience": 4, "relative": 0.2, "cool": 0.2}}


def slow(readings: list[float], settings: StopSettings, steps: int, first: int) -> list[float]:
    """Walk through the readings of one unit; return how far it has cooled after each."""
    smoothed: list[float] = []
    cooled, found, span = 0.0, [], settings.cool * steps
    for step, reading in enumerate(readings):
        weight = 0.5 ** (3 / settings.patience)
        smoothed.append(reading if not step else weight * smoothed[-1] + (1 - weight) * reading)
        if step >= first:
            growth = (smoothed[-1] - smoothed[step - settings.patience]) / abs(smoothed[-1])
            cooled += min(1.0, max(0.0, 1 - growth / settings.relative)) / span
        cooled = min(1.0, max(cooled, 1 - (steps - step - 1) / span))
        found.append(cooled)
    return found


def test_each_image_cools_down_with_its_own_unit() -> None:
    settings = StopSettings(relative=0.05, patience=6, cool=0.3)
    steps = 60
    rising = [math.exp(step / 20) for step in range(steps)]
    flat = [1 - math.exp(-step / 5) + 0.1 for step in range(steps)]
    noisy = (torch.randn(steps, generator=torch.Generator().manual_seed(0)) + 3).tolist()
    plateau, found, factors = Plateau(settings, 3, steps), [], []
    for step in range(steps):
        plateau.follow(torch.tensor([rising[step], flat[step], noisy[step]]), step)
        found.append(plateau.cooled)
        factors.append(plateau.factor)
    for place, readings in enumerate((rising, flat, noisy)):
        expected = torch.tensor(slow(readings, settings, steps, settings.patience))
        torch.testing.assert_close(torch.stack(found)[:, place], expected, atol=1e-4, rtol=0)
        cosine = [(1 + math.cos(math.pi * value)) / 2 for value in expected.tolist()]
        torch.testing.assert_close(torch.stack(factors)[:, place], torch.tensor(cosine), atol=1e-3, rtol=0)
    assert plateau.ended[0] == steps and plateau.ended[1] < steps * 0.8
    assert float(plateau.cooled.min()) == 1  # never later than the last step


def test_nan_is_no_growth_and_no_image_cools_before_its_bands_are_open() -> None:
    plateau = Plateau(StopSettings(patience=2, cool=0.25), 2, 40, bands=0.5)
    for step in range(20):
        plateau.follow(torch.tensor([float("nan"), 1.0]), step)
        assert float(plateau.cooled.max()) == 0
    plateau.follow(torch.tensor([float("nan"), 1.0]), 20)
    torch.testing.assert_close(plateau.cooled, torch.full((2,), 1 / 10))


def test_images_that_are_done_leave_the_batch_and_keep_their_records(fit) -> None:
    sizes = []

    class Sizes(Callback):
        def on_train_batch_end(self, trainer, module, outputs, batch, index) -> None:
            sizes.append(len(module.image))

    _, images, rows = fit("blocks.1.mlp:0-15", STOPPING, callbacks=[Sizes()])
    ended = [row["steps"] for row in rows.values()]
    assert len(images) == 16 and min(ended) < max(ended) <= 40
    assert sizes[0] == 16 and sizes[-1] < 16 and sizes == sorted(sizes, reverse=True)
    assert len(sizes) <= math.ceil(max(ended) / 5) * 5 + 1  # the chunk ends with the last of them
    assert sum(sizes) < 16 * 40 * 0.9  # and steps are really saved


@pytest.mark.parametrize(
    "more",
    [{}, {"augment": {"ease": {"over": 0.5, "awake": 3.0}}, "alpha": 80}, {"objective": {"measure": "cosine"}}],
    ids=["default", "levers", "cosine"],
)
def test_a_unit_that_stops_does_not_depend_on_its_neighbours(fit, more) -> None:
    _, together, rows = fit("blocks.1.mlp:0-15", STOPPING | more)
    for unit in (2, 5, 11):
        key = (f"blocks.1.mlp:{unit}", 0)
        module, alone, row = fit(key[0], STOPPING | more)
        torch.testing.assert_close(alone[key], together[key], atol=1e-5, rtol=0)
        assert row[key]["steps"] == rows[key]["steps"]
        assert row[key]["activation"] == pytest.approx(rows[key]["activation"], abs=1e-4)


def test_it_goes_on_from_the_middle_after_some_have_left(backbone, fit) -> None:
    module, whole, rows = fit("blocks.1.mlp:0-15", STOPPING | {"alpha": 80})
    pictures = dict(zip(module.chunk.targets, module.pictures(), strict=True))
    chunk, state = module.chunk, None
    for done in bare_steps(module, chunk):
        if len(module.image) < 16 and state is None:
            state = {"step": done, "module": module.chunk_state()}
    assert state is not None and 0 < len(state["module"]["image"]) < 16
    again, images, later = fit("blocks.1.mlp:0-15", STOPPING | {"alpha": 80}, resume=lambda _: state)
    for key, image in whole.items():
        torch.testing.assert_close(images[key], image, atol=1e-6, rtol=0)
        assert later[key]["steps"] == rows[key]["steps"]
    for key, picture in zip(again.chunk.targets, again.pictures(), strict=True):
        torch.testing.assert_close(picture, pictures[key], atol=1e-4, rtol=0)
