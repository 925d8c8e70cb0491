"""Models of transformers: the sites of timm's twin, with its values and gradients, from one set of weights."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tests.backbones.test_architectures import gradient
from tests.backbones.test_order import mean_place
from vitvis.backbones import Backbone, Tap, Unit, load_backbone
from vitvis.errors import VitvisError

transformers = pytest.importorskip("transformers")

SMALL: dict[str, Any] = {
    "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 192, "image_size": 64,
    "patch_size": 16, "layer_norm_eps": 1e-6,
}  # fmt: skip
TIMM: dict[str, Any] = {"img_size": 64, "embed_dim": 48, "depth": 2, "num_heads": 4, "patch_size": 16}
SWIN: dict[str, Any] = {"embed_dim": 24, "depths": (2, 2), "num_heads": (2, 4), "window_size": 4}


def renamed(state: dict[str, Tensor], rules: list[tuple[str, str]]) -> dict[str, Tensor]:
    """Names of transformers to names of timm; queries, keys and values are put together."""
    found: dict[str, Tensor] = {}
    parts: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        for pattern, new in rules:
            key = re.sub(pattern, new, key)
        match = re.fullmatch(r"(.*attn\.)([qkv])_proj\.(weight|bias)", key)
        if match:
            parts.setdefault(f"{match[1]}qkv.{match[3]}", {})[match[2]] = value
        else:
            found[key] = value
    return {**found, **{key: torch.cat([held[name] for name in "qkv"]) for key, held in parts.items()}}


LAYER = [
    (r"(self_attn|attention)\.", "attn."), (r"attn\.(o|out)_proj", "attn.proj"), (r"layernorm_before", "norm1"),
    (r"layernorm_after", "norm2"), (r"layer_norm(\d)", r"norm\1"), (r"layer_scale(\d)\.lambda1", r"ls\1.gamma"),
    (r"patch_embeddings\.projection", "patch_embed.proj"),
]  # fmt: skip


def vit() -> tuple[nn.Module, nn.Module]:
    theirs = transformers.ViTForImageClassification(transformers.ViTConfig(**SMALL, num_labels=7))
    ours = timm.create_model("vit_tiny_patch16_224", num_classes=7, **TIMM)
    rules = [(r"^vit\.layers", "blocks"), (r"^vit\.embeddings\.", ""), (r"^vit\.layernorm", "norm"),
             (r"position_embeddings", "pos_embed"), (r"^classifier", "head"), *LAYER]  # fmt: skip
    return theirs, loaded(ours, renamed(theirs.state_dict(), rules))


def dinov2() -> tuple[nn.Module, nn.Module]:
    theirs = transformers.Dinov2Model(transformers.Dinov2Config(**SMALL))
    ours = timm.create_model("vit_small_patch14_dinov2", **TIMM)
    rules = [(r"^encoder\.layer", "blocks"), (r"^embeddings\.", ""), (r"^layernorm", "norm"),
             (r"position_embeddings", "pos_embed"), *LAYER]  # fmt: skip
    state = renamed(theirs.state_dict(), rules)
    return theirs, loaded(ours, {key: value for key, value in state.items() if key != "mask_token"})


def siglip() -> tuple[nn.Module, nn.Module]:
    theirs = transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**SMALL, hidden_act="gelu"))
    ours = timm.create_model("vit_base_patch16_siglip_224", act_layer=nn.GELU, global_pool="", num_classes=0, **TIMM)
    rules = [(r"^encoder\.layers", "blocks"), (r"^embeddings\.patch_embedding", "patch_embed.proj"),
             (r"^embeddings\.position_embedding\.weight", "pos_embed"), (r"^post_layernorm", "norm")]  # fmt: skip
    rules += LAYER
    state = renamed({key: value for key, value in theirs.state_dict().items() if not key.startswith("head.")}, rules)
    return theirs, loaded(ours, {**state, "pos_embed": state["pos_embed"][None]})


def swin() -> tuple[nn.Module, nn.Module]:
    names = {**SWIN, "layer_norm_eps": 1e-5}
    theirs = transformers.SwinForImageClassification(transformers.SwinConfig(image_size=64, num_labels=7, **names))
    ours = timm.create_model("swin_tiny_patch4_window7_224", img_size=64, num_classes=7, **SWIN)
    rules = [(r"^swin\.encoder\.", ""), (r"^swin\.embeddings\.norm", "patch_embed.norm"), (r"^swin\.embeddings\.", ""),
             (r"^swin\.layernorm", "norm"), (r"^classifier", "head.fc"), (r"s\.0\.downsample", "s.1.downsample"),
             (r"relative_position_bias\.", ""), *LAYER]  # fmt: skip
    state = renamed(theirs.state_dict(), rules)
    return theirs, loaded(ours, {key: value for key, value in state.items() if not key.endswith("_index")})


def convnext() -> tuple[nn.Module, nn.Module]:
    sizes = {"hidden_sizes": [16, 32, 48, 64], "depths": [1, 1, 1, 1]}
    theirs = transformers.ConvNextForImageClassification(transformers.ConvNextConfig(num_labels=7, **sizes))
    ours = timm.create_model("convnext_atto", num_classes=7, dims=(16, 32, 48, 64), depths=(1, 1, 1, 1), conv_mlp=False)
    rules = [(r"^convnext\.embeddings\.patch_embeddings", "stem.0"), (r"^convnext\.embeddings\.layernorm", "stem.1"),
             (r"^convnext\.encoder\.", ""), (r"\.layers\.", ".blocks."), (r"downsampling_layer", "downsample"),
             (r"dwconv", "conv_dw"), (r"pwconv(\d)", r"mlp.fc\1"), (r"layer_scale_parameter", "gamma"),
             (r"^convnext\.layernorm", "head.norm"), (r"^classifier", "head.fc"), (r"blocks\.(\d)\.layernorm", r"blocks.\1.norm")]  # fmt: skip  # noqa: E501
    return theirs, loaded(ours, renamed(theirs.state_dict(), rules))


def loaded(model: nn.Module, state: dict[str, Tensor]) -> nn.Module:
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and all(key.endswith(("_index", "attn_mask")) for key in missing)
    return model


def own(model: nn.Module) -> Backbone:
    """Timm's twin, normalised as transformers does it where nothing is said."""
    return load_backbone(model, image_size=64, mean=(0.5,) * 3, std=(0.5,) * 3)


@pytest.mark.parametrize("pair", [vit, dinov2, siglip, swin, convnext])
def test_a_twin_of_timm_has_the_same_sites_values_and_gradients(pair: Callable[[], Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs, ours = pair()
    theirs.save_pretrained(tmp_path)
    backbone, twin = load_backbone(f"hf:{tmp_path}", image_size=64), own(ours)
    kinds = ("q", "k", "v", "attn", "mlp", "mlp_pre", "block", "head")
    images = torch.rand(2, 3, 64, 64)
    compared = 0
    for kind in kinds:
        here = [site for site in backbone.sites.values() if site.kind == kind and not site.name.startswith("head.")]
        there = [site for site in twin.sites.values() if site.kind == kind and not site.name.startswith("attn_pool")]
        if kind == "head" and not (here and there):
            continue
        assert [site.width for site in here] == [site.width for site in there], kind
        assert [(site.grid, site.prefix_tokens) for site in here] == [(s.grid, s.prefix_tokens) for s in there], kind
        for mine, other in zip(here, there, strict=True):
            with torch.no_grad(), Tap(backbone, [mine]) as tap, Tap(twin, [other]) as second:
                torch.testing.assert_close(
                    tap(images)[mine.name], second(images)[other.name], atol=1e-5, rtol=1e-5, msg=mine.name
                )
            compared += 1
        if here:
            expected = gradient(twin, there[0], images)
            scale = float(expected.abs().max())
            torch.testing.assert_close(gradient(backbone, here[0], images), expected, rtol=1e-3, atol=1e-4 * scale)
    assert compared >= 12


@pytest.mark.parametrize("pair", [vit, dinov2, siglip, swin, convnext])
def test_fit_makes_the_same_picture_of_both_twins(pair: Callable[[], Any], tmp_path: Path) -> None:
    from vitvis.fit.chunks import Chunk
    from vitvis.fit.module import ActivationMaximization
    from vitvis.fit.timing import bare_steps

    torch.manual_seed(0)
    theirs, ours = pair()
    theirs.save_pretrained(tmp_path)
    made = []
    for backbone in (load_backbone(f"hf:{tmp_path}", image_size=64), own(ours)):
        site = next(site for site in backbone.sites.values() if site.kind == "mlp" and site.depth == 1)
        module = ActivationMaximization(backbone, {"steps": 4, "copies": 2})
        chunk = Chunk(site, (Unit(site.name, 3), Unit(site.name, 7)), (0, 1))
        steps = sum(1 for _ in bare_steps(module, chunk, steps=4))
        assert steps == 4
        made.append(module.images())
    torch.testing.assert_close(made[0], made[1], atol=1e-4, rtol=0)
    assert (made[0][0] - made[0][1]).abs().max() > 0.01


def others() -> dict[str, Any]:
    text = {"hidden_size": 48, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 96}
    return {
        "deit": lambda: transformers.DeiTForImageClassificationWithTeacher(transformers.DeiTConfig(**SMALL)),
        "beit": lambda: transformers.BeitForImageClassification(transformers.BeitConfig(**SMALL)),
        "registers": lambda: transformers.Dinov2WithRegistersModel(transformers.Dinov2WithRegistersConfig(**SMALL)),
        "dinov3": lambda: transformers.DINOv3ViTModel(transformers.DINOv3ViTConfig(**SMALL, num_register_tokens=4)),
        "clip": lambda: transformers.CLIPModel(transformers.CLIPConfig(vision_config=SMALL, text_config=text)),
        "hiera": lambda: transformers.HieraForImageClassification(
            transformers.HieraConfig(image_size=[64, 64], embed_dim=24, depths=[1, 1, 1, 1], num_heads=[1, 2, 4, 8])
        ),
    }


PREFIX = {"deit": 2, "beit": 1, "registers": 5, "dinov3": 5, "clip": 1, "hiera": 0}


@pytest.mark.parametrize("name", PREFIX)
def test_other_models_have_every_kind_of_site_at_its_place(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = others()[name]()
    model.save_pretrained(tmp_path)
    backbone = load_backbone(f"hf:{tmp_path}", image_size=64)
    kinds = {site.kind for site in backbone.sites.values()}
    assert {"q", "k", "v", "attn", "mlp", "mlp_pre", "block"} <= kinds
    for site in backbone.sites.values():
        if site.grid and site.depth == 0:
            assert site.prefix_tokens == PREFIX[name] and site.width in (24, 48, 96, 192), site.name
            if site.kind in ("q", "mlp", "block"):
                y, x = mean_place(backbone, site, 0.2, 0.75)
                assert y < 0.45 and x > 0.55, (site.name, y, x)


def test_the_tower_of_a_model_of_several_parts(tmp_path: Path) -> None:
    text = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32,
            "vocab_size": 99, "model_type": "llama"}  # fmt: skip
    vision = {**SMALL, "model_type": "clip_vision_model"}
    config = transformers.LlavaConfig(vision_config=vision, text_config=text, image_token_index=3)
    transformers.LlavaForConditionalGeneration(config).save_pretrained(tmp_path)
    backbone = load_backbone(f"hf:{tmp_path}#vision_tower", image_size=64)
    assert backbone.sites["encoder.layers.1.mlp"].width == 192 or "vision_model.encoder.layers.1.mlp" in backbone.sites
    assert not any("language" in name for name, _ in backbone.named_parameters())
    for asked, said in (("", "#vision_tower"), ("#nose", "no part 'nose'")):
        with pytest.raises(VitvisError, match=said):
            load_backbone(f"hf:{tmp_path}{asked}", image_size=64)


def test_the_image_processor_says_mean_std_and_size(tmp_path: Path) -> None:
    transformers.ViTForImageClassification(
        transformers.ViTConfig(**SMALL, num_labels=2, id2label={0: "cat", 1: "dog"})
    ).save_pretrained(tmp_path)
    settings = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6], "size": {"shortest_edge": 80},
                "crop_size": {"height": 64, "width": 64}, "resample": 2}  # fmt: skip
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    backbone = load_backbone(f"hf:{tmp_path}")
    assert backbone.image_size == (64, 64) and backbone.class_names == ["cat", "dog"]
    torch.testing.assert_close(backbone.mean.flatten(), torch.tensor([0.1, 0.2, 0.3]))
    torch.testing.assert_close(backbone.std.flatten(), torch.tensor([0.4, 0.5, 0.6]))
    assert backbone.eval_settings["crop_pct"] == 0.8 and backbone.eval_settings["interpolation"] == "bilinear"
    larger = load_backbone(f"hf:{tmp_path}", image_size=96)  # position embeddings are scaled
    assert larger(torch.rand(1, 3, 96, 96)).shape == (1, 2) and larger.sites["vit.layers.0.mlp"].grid == (6, 6)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        first, again = (load_backbone(f"hf:{tmp_path}", "none") for _ in range(2))
    assert first.weights_id == again.weights_id != backbone.weights_id and any(
        "random" in str(w.message) for w in caught
    )
    file = load_backbone(f"hf:{tmp_path}", tmp_path / "model.safetensors")
    assert file.weights_id == backbone.weights_id
    state = load_file(tmp_path / "model.safetensors")
    for wrong, said in (
        ({**state, "vit.x.weight": torch.ones(2)}, "unexpected: vit.x.weight"),
        (dict(list(state.items())[1:]), "missing"),
    ):
        save_file(wrong, tmp_path / "wrong.safetensors")
        with pytest.raises(VitvisError, match=said):
            load_backbone(f"hf:{tmp_path}", tmp_path / "wrong.safetensors")


def test_mistakes_in_one_line(tmp_path: Path) -> None:
    config = transformers.BertConfig(hidden_size=24, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24)
    transformers.BertModel(config).save_pretrained(tmp_path)
    for name, said in ((f"hf:{tmp_path}", "pixel_values"), ("hf:", "hf:OWNER/NAME"), ("hf:no such thing", "hf:FOLDER")):
        with pytest.raises(VitvisError, match=said) as caught:
            load_backbone(name)
        assert "\n" not in str(caught.value)
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    (tmp_path / "config.json").write_text('{"model_type": "x", "auto_map": {"AutoConfig": "evil.C"}}')
    with pytest.raises(VitvisError, match="code of its own, which is never run"):  # and nobody is asked for a "y"
        load_backbone(f"hf:{tmp_path}", "none")
    assert not (tmp_path / "ran").exists()
