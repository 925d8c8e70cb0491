"""timm's image towers of CLIP, SigLIP, EVA-CLIP and MobileCLIP: their own classes, narrow and with random weights.

Mean and std are held against open_clip's published constants, activations and pre-norm against a run of the block by
hand, and an image is optimised for a hidden unit of each.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest
import timm
import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor, nn

from vitvis.backbones import Backbone, Tap, load_backbone, parse_units
from vitvis.config.core import merge
from vitvis.fit import ActivationMaximization, UnitDataModule, plan_chunks
from vitvis.fit.settings import FitSettings

NARROW: dict[str, Any] = {"depth": 2, "embed_dim": 48, "num_heads": 3}
CLIP, HALF, NONE = "clip", "half", "none"


def quick_gelu(value: Tensor) -> Tensor:
    """OpenAI's: x * sigmoid(1.702 x)."""
    return value * torch.sigmoid(1.702 * value)


def gelu_tanh(value: Tensor) -> Tensor:
    """Hendrycks and Gimpel's approximation, which the larger SigLIPs were trained with."""
    return value / 2 * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (value + 0.044715 * value**3)))


@dataclass(frozen=True)
class Tower:
    """What a tower must be: whose constants normalise, what its MLP fires with, whether a norm comes before blocks."""

    constants: str
    activation: Any
    pre_norm: bool
    embedding: int  # 0: the tower ends with pooled features
    settings: dict[str, Any] = field(default_factory=lambda: NARROW)
    size: int = 64


TOWERS = {
    "vit_base_patch32_clip_224.openai": Tower(CLIP, nn.functional.gelu, True, 512),
    "vit_base_patch32_clip_quickgelu_224.openai": Tower(CLIP, quick_gelu, True, 512),
    "vit_base_patch16_siglip_224.webli": Tower(HALF, nn.functional.gelu, False, 0),
    "vit_base_patch16_siglip_gap_224.webli": Tower(HALF, nn.functional.gelu, False, 0),
    "vit_so400m_patch16_siglip_256.v2_webli": Tower(HALF, gelu_tanh, False, 0),
    "eva02_base_patch16_clip_224.merged2b": Tower(CLIP, None, False, 512),  # SwiGLU
    "eva_giant_patch14_clip_224.laion400m": Tower(CLIP, nn.functional.gelu, False, 1024, size=56),
    "fastvit_mci0.apple_mclip": Tower(NONE, nn.functional.gelu, False, 512, {"layers": (1, 1, 1, 1)}),
}


@cache
def build(name: str) -> Backbone:
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load_backbone(name, "none", TOWERS[name].size, **TOWERS[name].settings)


def last_mlp(backbone: Backbone) -> Any:
    return [site for site in backbone.sites.values() if site.kind == "mlp"][-1]


@pytest.mark.parametrize("name", TOWERS)
def test_mean_and_std_are_those_it_was_trained_with(name: str) -> None:
    open_clip = pytest.importorskip("open_clip")
    published = {
        CLIP: (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD),
        HALF: (open_clip.constants.INCEPTION_MEAN, open_clip.constants.INCEPTION_STD),
        NONE: ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),  # MobileCLIP: images as they are
    }[TOWERS[name].constants]
    backbone = build(name)
    for found, wanted in zip((backbone.mean, backbone.std), published, strict=True):
        torch.testing.assert_close(found.flatten(), torch.tensor(wanted))
    cfg = timm.get_pretrained_cfg(name)
    assert (cfg.mean, cfg.std) == published and cfg.interpolation == backbone.eval_settings["interpolation"]


@pytest.mark.parametrize("name", [name for name, tower in TOWERS.items() if tower.activation is not None])
def test_hidden_units_fire_with_the_towers_own_function(name: str) -> None:
    backbone = build(name)
    mlp, images = last_mlp(backbone), torch.rand(1, 3, *backbone.image_size)
    with Tap(backbone, [mlp, f"{mlp.name}_pre"]) as tap:
        # fresh weights are so small that every GELU is a line: bring the largest input to 4
        scale = 4 / tap(images)[f"{mlp.name}_pre"].abs().max()
        backbone.model.get_submodule(f"{mlp.module.rpartition('.')[0]}.fc1").weight.data.mul_(scale)
        read = tap(images)
    before, after = read[f"{mlp.name}_pre"], read[mlp.name]
    torch.testing.assert_close(after, TOWERS[name].activation(before), atol=1e-5, rtol=1e-5)
    for other in {nn.functional.gelu, quick_gelu, gelu_tanh} - {TOWERS[name].activation}:
        assert float((other(before) - after).abs().max()) > 1e-4


def test_swiglu_of_eva_is_a_gate_times_a_value() -> None:
    backbone = build("eva02_base_patch16_clip_224.merged2b")
    seen: list[Tensor] = []
    mlp = backbone.model.blocks[1].mlp
    hook = mlp.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    with Tap(backbone, ["blocks.1.mlp"]) as tap:
        read = tap(torch.rand(1, 3, 64, 64))["blocks.1.mlp"]
    hook.remove()
    gate, value = mlp.fc1_g(seen[0]), mlp.fc1_x(seen[0])
    product = gate * torch.sigmoid(gate) * value
    wanted = [product, mlp.norm(product)]
    assert any(torch.allclose(read, one, atol=1e-5, rtol=1e-4) for one in wanted)


@pytest.mark.parametrize("name", [name for name in TOWERS if not name.startswith("fastvit")])
def test_pre_norm_is_the_towers_own(name: str) -> None:
    """What the first block gets has mean 0 and variance 1 over channels (a fresh LayerNorm) only under pre-norm."""
    backbone, seen = build(name), []
    hook = backbone.model.blocks[0].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    backbone(torch.rand(1, 3, *backbone.image_size))
    hook.remove()
    spread = seen[0].var(dim=-1, unbiased=False)
    assert torch.allclose(spread, torch.ones_like(spread), atol=0.05) == TOWERS[name].pre_norm


@pytest.mark.parametrize("name", TOWERS)
def test_an_image_is_optimised_for_its_units(name: str) -> None:
    """Two steps at a hidden unit and, where there is one, at the embedding: finite, moved, and firing more."""
    backbone, tower = build(name), TOWERS[name]
    mlp = last_mlp(backbone)
    assert ("head" in backbone.sites) == bool(tower.embedding) == bool(backbone.num_classes)
    if tower.embedding:
        assert backbone.site("head").width == tower.embedding
    addresses = [f"{mlp.name}:1,5"] + (["head:3"] if tower.embedding else [])
    settings = merge(FitSettings, {"steps": 2, "copies": 1, "augment.affine": None, "regularize.tv": 0.0})
    units = parse_units(addresses, backbone.sites)
    chunks = plan_chunks(units, [0], backbone.sites, 4)
    module = ActivationMaximization(backbone, settings)
    ends: list[dict[str, Any]] = []

    class Collect(Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            ends.extend(pl_module.results() if batch.last else [])

    trainer = Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, callbacks=[Collect()],
    )  # fmt: skip
    trainer.fit(module, UnitDataModule(chunks, settings.steps))
    assert len(ends) == len(units) and {row["status"] for row in ends} <= {"ok", "dead"}
    assert all(torch.isfinite(torch.tensor(row["activation"])) for row in ends)
    assert any(row["activation"] > row["activation_start"] for row in ends)
    assert all(parameter.grad is None for parameter in backbone.parameters())
