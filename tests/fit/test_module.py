"""The LightningModule: what it trains, what it leaves alone, and how it goes on."""

from __future__ import annotations

import pytest
import torch
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import ModelCheckpoint

from vitvis.backbones import parse_units
from vitvis.config.core import merge
from vitvis.fit import ActivationMaximization, choose_chunk, plan_chunks, recipe_of
from vitvis.fit.memory import saved_bytes
from vitvis.fit.settings import FitSettings

KEY = ("blocks.1.mlp:2", 0)


def test_activation_rises_for_every_image(fit) -> None:
    recipe = {"steps": 30, "optim": {"lr": 0.2}, "objective": {"pre": 0.5}, "augment": {"affine": None}}
    _, _, rows = fit("blocks.0.mlp:0-4", recipe, size=2)
    assert [row["status"] for row in rows.values()] == ["ok"] * 5
    assert all(row["activation"] > row["activation_start"] + 0.05 for row in rows.values())
    assert all(0 <= row["hf_share"] <= 1 and row["rank"] >= 1 and row["site_width"] == 192 for row in rows.values())


def test_only_the_image_is_trained_and_no_hook_stays(fit, backbone) -> None:
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    module, _, _ = fit("blocks.0.mlp:0", {"regularize": {"tv": 0.1}})
    assert [name for name, value in module.named_parameters() if value.requires_grad] == ["image"]
    assert all(value.grad is None for value in backbone.parameters())
    assert all(torch.equal(before[name], value) for name, value in backbone.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in backbone.modules())
    assert {"loss", "activation", "loss/tv"} <= set(module.trainer.callback_metrics)


def test_minimising_goes_the_other_way(fit) -> None:
    recipe = {"steps": 10, "optim": {"lr": 0.2}}
    _, _, rows = fit("blocks.0.block:1", recipe)
    _, _, minus = fit("-blocks.0.block:1", recipe)
    up, down = rows[("blocks.0.block:1", 0)], minus[("-blocks.0.block:1", 0)]
    assert up["activation_start"] == pytest.approx(-down["activation_start"], abs=1e-5)
    assert up["activation"] > up["activation_start"] and down["activation"] > down["activation_start"]


class Poison(Callback):
    """Makes the gradient of the image in the middle NaN in step 1."""

    def on_after_backward(self, trainer, pl_module) -> None:
        if pl_module.step == 1:
            pl_module.image.grad[1] = float("nan")


def test_nan_in_one_image_leaves_its_neighbours_alone(fit) -> None:
    _, clean, _ = fit("blocks.1.mlp:1-3", {})
    _, hit, rows = fit("blocks.1.mlp:1-3", {}, callbacks=[Poison()])
    assert [row["status"] for row in rows.values()].count("failed") == 1
    assert rows[("blocks.1.mlp:2", 0)]["status"] == "failed" and rows[("blocks.1.mlp:2", 0)]["message"]
    for unit in (1, 3):
        key = (f"blocks.1.mlp:{unit}", 0)
        assert torch.equal(clean[key], hit[key])
    assert hit[("blocks.1.mlp:2", 0)].isfinite().all()


def test_bf16_reaches_the_backbone_only(fit) -> None:
    seen = {}

    class Look(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
            state = trainer.optimizers[0].state[pl_module.image]
            seen.update(image=pl_module.image.dtype, moment=state["exp_avg"].dtype)

    _, half, _ = fit("blocks.1.mlp:2", {}, precision="bf16-mixed", callbacks=[Look()])
    _, full, _ = fit("blocks.1.mlp:2", {})
    assert seen == {"image": torch.float32, "moment": torch.float32}
    assert not torch.equal(half[KEY], full[KEY])


class Stop(Callback):
    """Keeps the chunk's state in step 3 of the second chunk, or puts it back."""

    def __init__(self, state=None) -> None:
        self.state = state

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if self.state is None and batch.chunk.units[0].index == 2 and pl_module.step == 3:
            self.state = pl_module.chunk_state()


@pytest.mark.parametrize(
    "recipe",
    [
        {"steps": 6, "image": "pixel"},
        {"steps": 6, "image": {"bands": 0.9}, "alpha": 80, "augment": {"ease": {"over": 0.9, "awake": 40.0}}},
    ],
)
def test_going_on_from_a_chunk_state_gives_the_same_image(fit, tmp_path, recipe) -> None:
    stop = Stop()
    first, whole, _ = fit("blocks.1.mlp:1-2", recipe, size=1, callbacks=[stop])
    torch.save(stop.state, tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)

    kept = {"step": state["step"], "module": state}
    module, resumed, rows = fit("blocks.1.mlp:2", recipe, resume=lambda chunk: kept)
    assert module.step == 6
    assert torch.equal(resumed[KEY], whole[KEY])
    assert torch.equal(module.pictures(), first.pictures())
    ease, before = module.levers.ease, first.levers.ease
    assert torch.equal(ease.vigour, before.vigour)
    assert ease.vigour == 1 or "augment" in recipe  # under a threshold that is out of reach it has moved


def test_lightnings_checkpoint_holds_the_image_alone_and_goes_on(fit, tmp_path) -> None:
    recipe = {"steps": 6, "image": "pixel"}
    saver = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=4, save_top_k=-1)
    _, whole, _ = fit("blocks.1.mlp:1-2", recipe, size=1, enable_checkpointing=True, callbacks=[saver])
    path = tmp_path / "step=8.ckpt"  # step 2 of the second chunk
    checkpoint = torch.load(path, weights_only=True)
    assert checkpoint["state_dict"] == {} and checkpoint["chunk"]["step"] == 2
    assert path.stat().st_size < 100_000 + 4 * 3 * 3 * 32 * 32
    _, resumed, _ = fit("blocks.1.mlp:1-2", recipe, size=1, ckpt_path=str(path))
    assert torch.equal(resumed[KEY], whole[KEY])


def test_a_state_of_other_units_is_refused(fit) -> None:
    module, _, _ = fit("blocks.1.mlp:2", {})
    state = module.chunk_state() | {"targets": [["blocks.1.mlp:9", 0]]}
    with pytest.raises(ValueError, match="not of the chunk"):
        module.load_chunk_state(state)


def test_chunks_are_of_one_site_and_cover_everything(backbone) -> None:
    units = parse_units(["blocks.*.mlp:0-4", "blocks.1.attn:3"], backbone.sites)
    chunks = plan_chunks(units, [0, 1], backbone.sites, 4)
    assert [target for chunk in chunks for target in chunk.targets] == [(u.address, s) for u in units for s in (0, 1)]
    assert all(len(chunk) <= 4 and {u.site for u in chunk.units} == {chunk.site.name} for chunk in chunks)
    assert len({chunk.name for chunk in chunks}) == len(chunks)
    assert [chunk.name for chunk in chunks] == [c.name for c in plan_chunks(units, [0, 1], backbone.sites, 4)]


def test_saved_bytes_grow_with_depth_and_bound_the_chunk(backbone) -> None:
    cpu = torch.device("cpu")
    shallow, deep = (saved_bytes(backbone, backbone.site(f"blocks.{i}.mlp")) for i in (0, 1))
    assert 0 < shallow < 0.7 * deep
    sites = list(backbone.sites.values())
    assert choose_chunk(backbone, sites, FitSettings(copies=4), cpu) == 8
    assert choose_chunk(backbone, sites, FitSettings(copies=10**6), cpu) == 1


def test_the_recipe_is_what_decides_the_image() -> None:
    base = FitSettings()
    assert recipe_of(base) == recipe_of(merge(FitSettings, ["seeds=[4]", "chunk=3", "model=x", "out=y"]))
    assert recipe_of(base) != recipe_of(merge(FitSettings, ["augment.noise.start=0.3"]))


def test_a_recipe_mapping_is_enough(backbone) -> None:
    chunks = plan_chunks(parse_units(["blocks.0.mlp:0"], backbone.sites), [0], backbone.sites, 1)
    module = ActivationMaximization(backbone, {"image": {"kind": "pixel"}, "copies": 3})
    assert module.configure_augmentations(chunks[0]).copies == 3 and module.image.shape == (1, 3, 32, 32)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_activation_that_is_not_finite_is_a_failure_though_its_gradient_is(fit, backbone, value) -> None:
    """A constant is added to what the second image excites, in one step: that has no gradient."""
    finite = []

    class Spoil(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
            self.hook = None
            if batch.step == 1:
                self.hook = backbone.model.blocks[1].register_forward_hook(self.add)

        def add(self, module, inputs, output):
            output = output.clone()
            output[2:4] += value  # two copies of each image
            return output

        def on_after_backward(self, trainer, pl_module) -> None:
            finite.append(bool(pl_module.image.grad.isfinite().all()))

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
            if self.hook is not None:
                self.hook.remove()

    recipe = {"objective": {"share": 1.0}, "augment": {"affine": {"least": 0.0}}}
    _, clean, _ = fit("blocks.1.block:1-3", recipe)
    _, spoilt, rows = fit("blocks.1.block:1-3", recipe, callbacks=[Spoil()])
    assert all(finite) and len(finite) == 4
    assert [row["status"] for row in rows.values()] == ["ok", "failed", "ok"]
    for unit in (1, 3):
        key = (f"blocks.1.block:{unit}", 0)
        assert torch.equal(clean[key], spoilt[key])
    assert spoilt["blocks.1.block:2", 0].isfinite().all()
