"""What goes along with images under Adam: each goes on as it would alone, whoever leaves and wherever it stops."""

from __future__ import annotations

import torch
from torch import Tensor

from vitvis.fit.ascent import Ascent

ADAM = {"lr": 0.1, "betas": (0.5, 0.99), "eps": 1e-7}
START = torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(0))


def alone(row: int, steps: int) -> Tensor:
    """Move one image by plain Adam towards 1."""
    image = torch.nn.Parameter(START[row : row + 1].clone())
    move(image, torch.optim.Adam([image], **ADAM), steps)
    return image.detach()


def move(image: Tensor, adam: torch.optim.Optimizer, steps: int) -> None:
    for _ in range(steps):
        image.grad = 2 * (image.detach() - 1)
        adam.step()


def test_who_stays_goes_on_as_alone_and_who_leaves_is_remembered() -> None:
    ascent = Ascent()
    image = ascent.begin(START.clone())
    adam = ascent.optimizer(image, **ADAM)
    move(image, adam, 3)
    image = ascent.leave(image, torch.tensor([0, 2]), {"ended": torch.tensor([9.0, 3.0, 9.0])})
    move(image, adam, 2)
    torch.testing.assert_close(image.detach(), torch.cat([alone(0, 5), alone(2, 5)]))
    whole = ascent.roster.whole("image", image.detach())
    torch.testing.assert_close(whole, torch.cat([alone(0, 5), alone(1, 3), alone(2, 5)]))
    assert ascent.roster.whole("ended", torch.tensor([5.0, 6.0])).tolist() == [5, 3, 6]


def test_a_state_goes_on_in_another_process_and_is_no_view_of_this_one() -> None:
    ascent = Ascent()
    image = ascent.begin(START.clone())
    adam = ascent.optimizer(image, **ADAM)
    move(image, adam, 2)
    state = ascent.state(image)
    move(image, adam, 3)
    expected = image.detach().clone()
    other = Ascent()
    fresh = other.begin(torch.zeros_like(START))
    later = other.optimizer(fresh, **ADAM)
    fresh = other.load(state, torch.device("cpu"))
    move(fresh, later, 3)
    assert torch.equal(fresh, expected)


def test_an_image_that_fails_stops_and_the_next_chunk_starts_anew() -> None:
    ascent = Ascent()
    image = ascent.begin(START.clone())
    adam = ascent.optimizer(image, **ADAM)
    image.grad = torch.ones_like(image)
    image.grad[1, 0, 0] = float("nan")
    ascent.stop_failed(image)
    adam.step()
    assert ascent.failed.tolist() == [False, True, False]
    assert torch.equal(image[1], START[1]) and not torch.equal(image[0], START[0])
    image = ascent.begin(START[:1].clone())
    move(image, adam, 2)
    assert ascent.failed.tolist() == [False]
    torch.testing.assert_close(image.detach(), alone(0, 2))
    assert list(adam.state) == [image]  # nothing is kept of those before


def test_a_step_is_shortened_for_each_image() -> None:
    ascent = Ascent()
    image = ascent.begin(START.clone())
    adam = ascent.optimizer(image, **ADAM)
    ascent.remember(image)
    move(image, adam, 1)
    whole = image.detach().clone()
    ascent.scale(image, torch.tensor([1.0, 0.25, 0.0]))
    expected = torch.stack([whole[0], START[1] + 0.25 * (whole[1] - START[1]), START[2]])
    torch.testing.assert_close(image.detach(), expected)
