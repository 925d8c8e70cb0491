"""What units bear: what class units get of `classes`, and that hidden units get none of it."""

from __future__ import annotations

import math

import pytest
import torch

from vitvis.backbones import Site
from vitvis.config.core import merge
from vitvis.fit.bearing import bearing_of, decay_for
from vitvis.fit.images import make_image
from vitvis.fit.settings import FitSettings, ImageSettings

ATTENTIVE, PLAIN = ("mlp", "attn", "head"), ("block", "head")


def site(kind: str) -> Site:
    return Site(kind, kind, kind, 10, "NC", 0, None, 3)


@pytest.mark.parametrize(
    ("kinds", "group", "factors"), [(ATTENTIVE, "attention", (2.4, 1, 2.5)), (PLAIN, "convolution", (1, 0.5, 0))]
)
def test_classes_get_what_their_kind_of_model_bears_and_hidden_units_the_plain_recipe(kinds, group, factors) -> None:
    settings = merge(FitSettings, ["image.decay=1.25", f"classes.{group}.decay=0.5", f"classes.{group}.rate=4"])
    hidden = bearing_of(settings, site("mlp"), kinds, (64, 64))
    assert hidden.settings is settings and hidden.rate == 1 and hidden.changes is None
    found, (warp, noise, noise_end) = bearing_of(settings, site("head"), kinds, (64, 80)), factors
    (affine, plain), old = (found.settings.augment.affine, settings.augment.affine), settings.augment.noise
    assert affine.rotate == pytest.approx(plain.rotate * warp) and affine.shift == plain.shift
    assert math.log(affine.zoom) == pytest.approx(warp * math.log(plain.zoom))
    assert found.settings.augment.noise.start == pytest.approx(old.start * noise)
    assert found.settings.augment.noise.end == pytest.approx(old.end * noise_end)
    assert found.settings.image.decay == pytest.approx(settings.image.decay + 0.5) and found.rate == 4
    assert {"image.decay=1.75", "optim.lr*=4"} <= set(found.changes)


@pytest.mark.parametrize("side", [64, 96, 224, 512])
def test_the_finest_details_are_as_faint_at_any_size(side: int) -> None:
    assert (side / 2) ** (decay_for(1.7, (side, 2 * side)) - 1) == pytest.approx(32**0.7)
    assert decay_for(1.0, (side, side)) == 1 and decay_for(1.7, (32, 224)) == pytest.approx(1.7)
    settings = FitSettings()
    found = bearing_of(settings, site("head"), ATTENTIVE, (side, side)).settings.image.decay
    assert found == pytest.approx(decay_for(settings.image.decay + settings.classes.attention.decay, (side, side)))
    assert bearing_of(settings, site("mlp"), ATTENTIVE, (side, side)).settings.image.decay == settings.image.decay


def test_what_a_recipe_switches_off_stays_off() -> None:
    settings = merge(FitSettings, ["augment.affine=null", "augment.noise=null", "image.kind=pixel"])
    found = bearing_of(settings, site("head"), ATTENTIVE, (64, 64))
    assert found.settings.augment.affine is None and found.settings.augment.noise is None
    assert found.changes == (f"optim.lr*={settings.classes.attention.rate:g}",)


def test_the_rate_of_a_step_and_the_record_say_the_same(fit) -> None:
    recipe = {"classes": {"attention": {"rate": 3.0, "warp": 2.0}}, "steps": 2}
    module, _, rows = fit("head:1", recipe)
    optimizer = module.configure_optimizers()
    module.step = 0
    module.set_rate(optimizer)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(3 * optimizer.defaults["lr"])
    (row,) = rows.values()
    assert "optim.lr*=3" in row["suited"] and "augment.affine.rotate=10" in row["suited"]
    _, _, plain = fit("blocks.0.mlp:1", recipe)
    assert "suited" not in next(iter(plain.values()))


@pytest.mark.parametrize("kind", ["fourier", "phase"])
def test_an_image_takes_on_another_decay_and_gives_it_back(kind) -> None:
    settings, other = ImageSettings(kind=kind), ImageSettings(kind=kind, decay=1.7)
    image, parameter = make_image((16, 20), settings), make_image((16, 20), settings).start([3])
    plain = image(parameter)
    image.suit(1.0, other)
    torch.testing.assert_close(image(parameter), make_image((16, 20), other)(parameter))
    image.suit(0.2, settings)
    torch.testing.assert_close(image(parameter), plain)
