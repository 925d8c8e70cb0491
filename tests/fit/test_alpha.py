"""Alpha: the sum of the gradients that a slow loop finds, and what of a picture it picks out."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from vitvis.fit.alpha import GradientMap, opacity
from vitvis.fit.pictures import to_bytes

KEY = ("blocks.1.mlp:2", 0)


def test_the_map_is_the_sum_of_absolute_gradients() -> None:
    generator = torch.Generator().manual_seed(0)
    found, slow = GradientMap((2, 4, 5), torch.device("cpu")), torch.zeros(2, 4, 5)
    for _ in range(3):
        weights = torch.randn(2, 3, 4, 5, generator=generator)
        parameter = torch.randn(2, 3, 4, 5, generator=generator, requires_grad=True)
        images = parameter.sigmoid()
        found.watch(images)
        (images.square() * weights).sum().backward()
        slow += (2 * images * weights).abs().sum(dim=1).detach()
    torch.testing.assert_close(found.total, slow)


def test_alpha_is_opaque_from_its_percentile_on_in_each_image_for_itself() -> None:
    total = torch.stack([torch.arange(100.0), torch.arange(100.0) * 1e6]).view(2, 10, 10)
    alpha = opacity(total, 80)
    assert alpha.shape == (2, 1, 10, 10)
    assert int((alpha[0] == 1).sum()) == 20 and float(alpha.min()) == 0
    torch.testing.assert_close(alpha[0], alpha[1])
    assert opacity(torch.zeros(1, 4, 4), 80).abs().max() == 0  # nothing arrived


def test_a_gradient_that_is_nan_counts_as_nothing() -> None:
    found = GradientMap((1, 2, 2), torch.device("cpu"))
    image = torch.ones(1, 3, 2, 2, requires_grad=True)
    copies = image * 1
    found.watch(copies)
    (copies * torch.tensor([float("nan"), 1.0])).sum().backward()
    assert torch.equal(found.total[0], torch.tensor([[0.0, 3.0], [0.0, 3.0]]))


def test_a_picture_with_alpha_has_the_colours_of_the_one_without(fit) -> None:
    plain, images, _ = fit("blocks.1.mlp:2", {"alpha": 80, "image": {"canvas": 1.5}, "augment": {"crop": {}}})
    pictures = plain.pictures()
    assert pictures.shape == (1, 4, 32, 32)
    assert torch.equal(pictures[0, :3], images[KEY])
    picture = Image.fromarray(to_bytes(pictures)[0])
    assert picture.mode == "RGBA" and picture.convert("RGB").tobytes() == to_bytes(images[KEY][None])[0].tobytes()
    _, without, _ = fit("blocks.1.mlp:2", {"image": {"canvas": 1.5}, "augment": {"crop": {}}})
    assert torch.equal(without[KEY], images[KEY])  # looking changes nothing


def test_what_is_opaque_is_where_the_tokens_that_count_look(fit) -> None:
    """The first block's units without attention see their own patch: a box of patches, and nothing else, gets alpha."""
    recipe = {
        "alpha": 80, "objective": {"tokens": [0, 0, 2, 2], "pre": 1.0}, "augment": {"affine": None}, "steps": 2,
    }  # fmt: skip
    module, _, _ = fit("blocks.0.q:3", recipe)  # a linear layer of each token for itself
    total = module.levers.gradients.total[0]
    assert total[:16, :16].sum() == pytest.approx(float(total.sum()), rel=1e-6)
