"""What commands do on a device, on `meta`: a tensor that was left on the CPU, or a number asked for, is an error there.

A fit's steps are in `tests/fit/test_no_waiting.py`. A search picks by numbers, which `meta` has not; its reading of the
model is tried, its rankings are not.
"""

from __future__ import annotations

import copy

import pytest
import torch

from vitvis.backbones import Tap, load_backbone, select_tokens
from vitvis.backbones.eye import load_eye
from vitvis.evaluate.probes import LowpassProbe, MasksProbe, TokensProbe
from vitvis.evaluate.variants import VariantPlan
from vitvis.judge.sturdiness import read_activation
from vitvis.search.layout import make_layout
from vitvis.search.state import start

META = torch.device("meta")


@pytest.fixture(scope="module")
def backbone():
    return copy.deepcopy(load_backbone("vitvis_vit")).to(META)


def images(backbone, count: int = 4) -> torch.Tensor:
    return torch.empty(count, 3, *backbone.image_size, device=META)


@pytest.mark.parametrize("probe", [MasksProbe(VariantPlan(("full",), ())), LowpassProbe([4, 8]), TokensProbe()])
def test_evaluate_asks_a_model_on_its_device(backbone, probe) -> None:
    outcomes = list(probe.run(backbone, images(backbone), torch.zeros(4, dtype=torch.int64, device=META)))
    assert outcomes and all(outcome.logits.device == META for outcome in outcomes)


def test_judge_and_concepts_look_on_the_device() -> None:
    eye = copy.deepcopy(load_eye("vitvis_resnet"))
    eye.backbone.to(META)
    seen = eye.look(images(eye.backbone))
    assert seen.features.device == seen.logits.device == META and seen.features.shape == (4, sum(eye.widths))


def test_sturdiness_and_search_read_units_on_the_device(backbone) -> None:
    from vitvis.backbones import parse_units

    units = parse_units(["blocks.3.mlp:0-3"], backbone.sites)
    site = backbone.site("blocks.3.mlp")
    assert read_activation(backbone, images(backbone), site, units, "patches").device == META
    layout = make_layout(units, {site.name: site})
    with Tap(backbone, [site]) as tap:
        found = layout.groups[0].read(tap(images(backbone))[site.name])
    assert select_tokens(found, site, "patches").mean(1).shape == (4, 4)
    state = start(layout, 3, sample=2, device=META)
    assert state.moments.add(torch.empty(4, 4, device=META)).total.device == META
