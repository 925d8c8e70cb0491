"""Image towers of CLIP and their kin, checked against open_clip's own `encode_image` and `encode_text`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from vitvis.backbones import Backbone, Tap, load_backbone, resolve_units
from vitvis.backbones.archives import read_tensors
from vitvis.backbones.prompts import parse_prompt
from vitvis.backbones.weights import fit_to_model, load_into
from vitvis.config.addresses import split_addresses
from vitvis.config.values import flatten
from vitvis.errors import VitvisError

open_clip = pytest.importorskip("open_clip")

from vitvis.backbones.openclip import _convert, wrap_open_clip  # noqa: E402

TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
VIT = {"image_size": 64, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16}


def small(**vision: object) -> tuple[torch.nn.Module, Backbone]:
    """A small CLIP of open_clip's own classes, with a tokenizer that comes in its package."""
    torch.manual_seed(0)
    quick = bool(vision.pop("quick_gelu", False))
    model = open_clip.CLIP(embed_dim=16, vision_cfg={**VIT, **vision}, text_cfg=TEXT, quick_gelu=quick).eval()
    return model, wrap_open_clip(model, "open_clip:small", "none", open_clip.get_tokenizer("ViT-B-32"))


@pytest.mark.parametrize(
    "vision",
    [{}, {"quick_gelu": True}, {"ls_init_value": 0.1}, {"no_ln_pre": True}, {"layers": (1, 1, 1, 1)},
     {"pool_type": "avg"}],
    ids=["gelu", "quick_gelu", "layer_scale", "no_ln_pre", "resnet", "pool_avg"],
)  # fmt: skip
def test_tower_computes_what_encode_image_does(vision: dict[str, object]) -> None:
    model, backbone = small(**vision)
    images = torch.rand(2, 3, 64, 64)
    mean = torch.tensor(open_clip.OPENAI_DATASET_MEAN).reshape(1, 3, 1, 1)
    std = torch.tensor(open_clip.OPENAI_DATASET_STD).reshape(1, 3, 1, 1)
    torch.testing.assert_close(backbone(images), model.encode_image((images - mean) / std), atol=2e-6, rtol=1e-5)
    assert backbone.site("head").width == 16


def test_hidden_units_are_those_of_open_clip() -> None:
    model, backbone = small(quick_gelu=True)
    images, seen = torch.rand(2, 3, 64, 64), []
    hook = model.visual.transformer.resblocks[1].mlp.gelu.register_forward_hook(lambda *call: seen.append(call[2]))
    model.encode_image(backbone.normalize(images))
    hook.remove()
    with Tap(backbone, ["blocks.1.mlp"]) as tap:
        torch.testing.assert_close(tap(images)["blocks.1.mlp"], seen[0], atol=2e-6, rtol=1e-5)


def test_text_is_what_encode_text_says() -> None:
    model, backbone = small()
    texts = ["a photo of a concert hall", "illness"]
    wanted = model.encode_text(open_clip.get_tokenizer("ViT-B-32")(texts), normalize=True)
    assert backbone.language is not None
    torch.testing.assert_close(backbone.language.encode_text(texts, batch=1), wanted)
    long = [*texts, " ".join(["word"] * 100), ""]  # cut off at 77 tokens, and nothing but begin and end
    wanted = model.encode_text(open_clip.get_tokenizer("ViT-B-32")(long), normalize=True)
    torch.testing.assert_close(backbone.language.encode_text(long), wanted)
    assert not any("text" in name or name.startswith("token_embedding") for name, _ in backbone.named_parameters())


def test_padding_is_not_computed() -> None:
    """`a photo of dog` is six tokens with begin and end; the model itself is left as it was."""
    model, backbone = small()
    seen: list[tuple[int, ...]] = []
    hook = model.transformer.register_forward_pre_hook(lambda module, args: seen.append(tuple(args[0].shape)))
    assert backbone.language is not None
    backbone.language.encode_text(["a photo of dog", "dog"])
    hook.remove()
    assert seen == [(2, 6, 32)]
    assert model.positional_embedding.shape == (77, 32) and model.attn_mask.shape == (77, 77)


def test_prompts_are_cosines(tmp_path: Path) -> None:
    model, backbone = small()
    Image.new("RGB", (80, 64), (200, 40, 10)).save(tmp_path / "red.png")
    address = f'text:"a, b"*0.7+"c"*-0.2+image:{tmp_path / "red.png"}'
    plain, mixed = resolve_units(['text:"a, b"', address], backbone)
    a, c = model.encode_text(open_clip.get_tokenizer("ViT-B-32")(["a, b", "c"]), normalize=True)
    pixel = torch.full((1, 3, 64, 64), 1.0) * torch.tensor([200, 40, 10]).reshape(1, 3, 1, 1) / 255
    picture = model.encode_image(backbone.normalize(pixel), normalize=True)[0]
    wanted = 0.7 * a - 0.2 * c + picture
    assert mixed.vector is not None and plain.vector is not None
    torch.testing.assert_close(plain.vector, a)
    torch.testing.assert_close(mixed.vector, wanted / wanted.norm(), atol=1e-5, rtol=1e-4)
    assert (plain.address, mixed.address) == ('text:"a, b"', address)


def test_fit_raises_the_cosine_to_a_prompt() -> None:
    from vitvis.fit.chunks import Chunk
    from vitvis.fit.measure import measure_firing
    from vitvis.fit.objective import Objective
    from vitvis.fit.settings import ObjectiveSettings

    model, backbone = small()
    units = [*resolve_units(["head:3", 'text:"a dog"', '-text:"a dog"'], backbone)]
    chunk = Chunk(backbone.site("head"), tuple(units), (0, 0, 0))
    images = torch.rand(1, 3, 64, 64).repeat(3, 1, 1, 1)
    embedding = model.encode_image(backbone.normalize(images))
    text = model.encode_text(open_clip.get_tokenizer("ViT-B-32")(["a dog"]), normalize=True)[0]
    cosine = float(torch.nn.functional.normalize(embedding[0], dim=0) @ text)
    wanted = torch.tensor([float(embedding[0, 3]), cosine, -cosine])
    objective = Objective(chunk.site, units, backbone.sites, ObjectiveSettings())
    with Tap(backbone, ["head"]) as tap:
        values = objective(tap(images)["head"], 0.0)[:, 0]
    torch.testing.assert_close(values, wanted, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(measure_firing(backbone, images, chunk.site, units).mean, wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("address", ["text:", 'text:"a"*x', 'text:"a"+', "image:no_such_file.png", 'text:"a"+"a"*-1'])
def test_wrong_prompts_are_one_line(address: str) -> None:
    _, backbone = small()
    with pytest.raises(VitvisError, match="units") as error:
        resolve_units([address], backbone)
    assert "\n" not in str(error.value)


def test_prompt_of_two_kinds() -> None:
    terms = parse_prompt("text:'a dog'*.5+\"it's\"+image:a b.png*2")
    assert [(term.kind, term.value, term.weight) for term in terms] == [
        ("text", "a dog", 0.5), ("text", "it's", 1.0), ("image", "a b.png", 2.0)
    ]  # fmt: skip


@pytest.mark.parametrize("text", ['text:"a, b: c"*0.7+"d, e"', "text:'x, head:3'", '-text:"it\'s", head:3,5'])
def test_prompts_pass_through_settings_and_back(text: str) -> None:
    units = split_addresses(f"[{text}]")
    assert "".join(units) == text.replace(", head:3,5", "head:3,5") and len(units) == 1 + text.endswith("3,5")
    assert split_addresses(flatten({"units": units})[0].removeprefix("units=")) == units


def test_text_needs_a_text_tower() -> None:
    with pytest.warns(UserWarning, match="random"):
        backbone = load_backbone("vit_tiny_patch16_224", "none", 32)
    with pytest.raises(VitvisError, match="no text tower.*open_clip"):
        resolve_units(['text:"a dog"'], backbone)


def test_names_and_tags_are_checked() -> None:
    with pytest.raises(VitvisError, match="did you mean 'ViT-B-32'"):
        load_backbone("open_clip:ViT-B-33", "none")
    with pytest.raises(VitvisError, match="openai"):
        load_backbone("open_clip:ViT-B-32")
    with pytest.raises(VitvisError, match="neither a file nor a tag"):
        load_backbone("open_clip:ViT-B-32", "nothing.pt")


@pytest.mark.slow
def test_full_vit_b_32() -> None:
    """The true size, at random: 12 blocks of 768, a text tower of 512, 49,408 tokens."""
    torch.manual_seed(0)
    name = "ViT-B-32-quickgelu"
    model, tokenizer = open_clip.create_model(name, pretrained=None).eval(), open_clip.get_tokenizer(name)
    images, texts = torch.rand(1, 3, 224, 224), ["a photo of a concert hall", "illness"]
    mean, std = (torch.tensor(three).reshape(1, 3, 1, 1) for three in
                 (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD))  # fmt: skip
    with torch.no_grad():
        image, text = model.encode_image((images - mean) / std), model.encode_text(tokenizer(texts), normalize=True)
    backbone = wrap_open_clip(model, f"open_clip:{name}", "none", tokenizer)
    torch.testing.assert_close(backbone(images), image, atol=2e-5, rtol=1e-4)
    assert backbone.language is not None
    torch.testing.assert_close(backbone.language.encode_text(texts), text, atol=1e-6, rtol=1e-5)
    (unit,) = resolve_units([f'text:"{texts[0]}"'], backbone)
    assert unit.vector is not None
    torch.testing.assert_close(unit.vector, text[0], atol=1e-6, rtol=1e-5)
    assert backbone.site("blocks.10.mlp").width == 3072 and backbone.site("head").width == 512


@pytest.mark.parametrize("prefix", ["", "module.", "module._orig_mod.", "state."])
def test_files_of_trainers_fit_whatever_stands_before_the_names(prefix: str, tmp_path: Path) -> None:
    model, other = small()[0], small(ls_init_value=0.1)[0]
    torch.save(
        {"epoch": 3, "state_dict": {prefix + k: v + 1 for k, v in model.state_dict().items()}}, tmp_path / "w.pt"
    )
    fresh = open_clip.CLIP(embed_dim=16, vision_cfg=VIT, text_cfg=TEXT)
    load_into(fresh, fit_to_model(fresh, read_tensors(tmp_path / "w.pt"), _convert), "small", tmp_path / "w.pt")
    for key, value in model.state_dict().items():
        torch.testing.assert_close(fresh.state_dict()[key], value + 1)
    with pytest.raises(VitvisError, match="missing.*ls_1"):
        load_into(other, fit_to_model(other, read_tensors(tmp_path / "w.pt"), _convert), "small", tmp_path / "w.pt")
