"""Models without a head: there is no such site, and what needs an embedding says so in one line."""

from __future__ import annotations

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from vitvis.backbones import Backbone, load_backbone, resolve_units
from vitvis.concepts.embed import embed_pictures
from vitvis.concepts.spaces import BackboneLook
from vitvis.errors import VitvisError


@pytest.fixture(scope="module")
def headless() -> Backbone:
    return load_backbone("test_vit", weights="none", num_classes=0)


@pytest.fixture
def picture(tmp_path):
    Image.new("RGB", (32, 32), (200, 30, 30)).save(tmp_path / "red.png")
    return tmp_path / "red.png"


def test_only_a_classifier_is_a_head(headless) -> None:
    assert "head" not in headless.sites and headless.num_classes == 0
    assert load_backbone("test_vit", weights="none", num_classes=7).site("head").width == 7


class Maps(nn.Module):
    """Says that it has five classes, and returns maps."""

    num_classes = 5

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 5, 4, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(images)


def test_what_is_no_row_of_classes_is_no_head() -> None:
    model = Backbone(Maps(), name="maps", weights="none", weights_id="0" * 12, image_size=(16, 16))
    assert model(torch.rand(1, 3, 16, 16)).shape == (1, 5, 4, 4)
    assert "head" not in model.sites


@pytest.mark.parametrize("sign", ["", "-"])
def test_a_prompt_needs_a_head(headless, picture, sign) -> None:
    address = f"{sign}image:{picture}"
    with pytest.raises(VitvisError, match="test_vit has no head") as error:
        resolve_units(["blocks.0.mlp:1", address], headless)
    assert str(picture) in str(error.value)


def test_an_embedding_needs_a_head_and_a_look_needs_a_block(headless, picture, tmp_path) -> None:
    with pytest.raises(VitvisError, match="test_vit has no embedding"):
        embed_pictures(headless, {"red": picture}, tmp_path / "cache", site="head")
    plain = Backbone(Maps(), name="maps", weights="none", weights_id="0" * 12, image_size=(16, 16))
    with pytest.raises(VitvisError, match="look=maps: has no block"):
        BackboneLook(plain)
    last = BackboneLook(headless).site
    assert embed_pictures(headless, {"red": picture}, tmp_path / "cache", site=last).shape == (1, 64)
