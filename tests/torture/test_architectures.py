"""A share of the families: those whose layouts were once read wrongly, and one of each other kind."""

from __future__ import annotations

import pytest
import torch

from tests.torture.architectures import build, check_alone, check_places, check_shapes, compare, families, look
from vitvis.backbones import Sites, load_backbone

SHAPES = [
    "nest_tiny", "fastvit_mci0", "fastvit_sa12", "mobilevitv2_050", "mobilevit_xxs", "mambaout_femto", "csatv2",
    "coatnet_rmlp_nano_rw_224", "tnt_s_patch16_224", "efficientvim_m1", "swin_tiny_patch4_window7_224", "resnet18",
    "vit_tiny_patch16_224", "tf_efficientnet_b0",
]  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_what_scales_with_the_image_is_the_grid_and_nothing_else(name: str) -> None:
    found, wrong = check_shapes(name)
    assert not wrong and "block=" in found


@pytest.mark.filterwarnings("ignore:.*random")
@pytest.mark.parametrize("name", ["nest_tiny", "mobilevit_xxs", "mobilevitv2_050", "tnt_s_patch16_224"])
def test_a_spot_of_the_image_is_seen_at_its_place(name: str) -> None:
    assert not check_places(load_backbone(name, "none"), seed=0)


@pytest.mark.filterwarnings("ignore:.*random")
def test_the_gradient_of_one_image_does_not_need_another() -> None:
    assert not check_alone(load_backbone("repvit_m1", "none"), seed=0)


def test_every_name_of_timm_is_in_a_family() -> None:
    import timm

    names = [name for members in families().values() for name in members]
    assert sorted(names) == sorted(timm.list_models()) and 300 < len(families()) < 600


def test_a_layout_read_wrongly_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a look at a second size, FastViT's maps are read with a column of the image as a unit."""
    monkeypatch.setattr("vitvis.backbones.builder.probe_elsewhere", lambda model, size, channels: None)
    model = build("fastvit_mci0")
    assert model is not None
    small, large = (256, 256), (256, 512)
    one, other = look("fastvit_mci0", model, small), look("fastvit_mci0", model, large)
    assert isinstance(one, Sites) and isinstance(other, Sites)
    assert any("attn" in line for line in compare(one, other, small, large))
    assert torch.is_grad_enabled()
