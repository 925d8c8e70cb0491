"""Modules of your own: torchvision's models and hand-written attention, by object and by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from vitvis.backbones import Backbone, Tap, load_backbone
from vitvis.errors import VitvisError

vision = torchvision.models


class Layer(nn.Module):
    """A transformer layer as people write it: scaled_dot_product_attention, and a function without a module."""

    def __init__(self, width: int, fused: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, fused)
        self.feed_forward = nn.Sequential(nn.Linear(width, 3 * width), nn.GELU(), nn.Linear(3 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.feed_forward(self.norm2(x))


class Attention(nn.Module):
    def __init__(self, width: int, fused: bool) -> None:
        super().__init__()
        self.heads, self.fused = 4, fused
        if fused:
            self.to_qkv = nn.Linear(width, 3 * width)
        else:
            self.to_q, self.to_k, self.to_v = (nn.Linear(width, width) for _ in range(3))
        self.to_out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.to_qkv(x).chunk(3, -1) if self.fused else (self.to_q(x), self.to_k(x), self.to_v(x))
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        return self.to_out(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Net(nn.Module):
    def __init__(self, fused: bool = True) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 32, 8, 8)
        self.layers = nn.ModuleList(Layer(32, fused) for _ in range(2))
        self.classify = nn.Linear(32, 5)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        for layer in self.layers:
            tokens = layer(tokens)
        return self.classify(tokens.mean(1))


class Encoder(nn.Module):
    """torch's own layers, whose fast path calls no submodule where nobody looks."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 32, 8, 8)
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, images: Tensor) -> Tensor:
        return self.encoder(self.patches(images).flatten(2).transpose(1, 2))


VIT = {"image_size": 64, "patch_size": 16, "num_layers": 2, "num_heads": 4, "hidden_dim": 48, "mlp_dim": 96}
SWIN: dict[str, Any] = {
    "patch_size": [4, 4],
    "embed_dim": 24,
    "depths": [2, 1],
    "num_heads": [2, 4],
    "window_size": [4, 4],
}
ALL = {"q", "k", "v", "attn", "mlp", "mlp_pre", "block"}
MODELS = {
    "vit": (lambda: vision.VisionTransformer(**VIT, num_classes=5), ALL | {"head"}, 1, 48),
    "swin": (lambda: vision.SwinTransformer(**SWIN, num_classes=5), ALL | {"head"}, 0, 24),
    "convnext": (lambda: vision.convnext_tiny(num_classes=5), {"mlp", "mlp_pre", "block", "head"}, 0, 96),
    "resnet": (lambda: vision.resnet18(num_classes=5), {"block", "head"}, 0, 64),
    "fused": (lambda: Net(True), ALL | {"head"}, 0, 32),
    "split": (lambda: Net(False), ALL | {"head"}, 0, 32),
    "encoder": (Encoder, ALL, 0, 32),
}


@pytest.mark.parametrize("name", MODELS)
def test_kinds_are_found_in_models_of_others(name: str) -> None:
    torch.manual_seed(0)
    build, kinds, prefix, width = MODELS[name]
    model = build()
    backbone = load_backbone(model, image_size=64, mean=(0.4, 0.4, 0.4), std=(0.2, 0.2, 0.2))
    assert {site.kind for site in backbone.sites.values()} == kinds
    assert backbone.num_classes == (5 if "head" in kinds else 0) and backbone.weights == "own"
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad(), Tap(backbone, list(backbone.sites)) as tap:
        read = tap(images)
    first = next(site for site in backbone.sites.values() if site.kind == "block")
    assert (first.width, first.prefix_tokens) == (width, prefix)
    for key, site in backbone.sites.items():
        assert read[key].shape == (2, site.tokens, site.width) and read[key].isfinite().all()
    with torch.no_grad():
        torch.testing.assert_close(backbone(images), model((images - 0.4) / 0.2))


def test_queries_of_multihead_attention_are_rows_of_its_weight() -> None:
    torch.manual_seed(0)
    model = vision.VisionTransformer(**VIT)
    attention = model.encoder.layers[1].self_attention
    backbone, seen = load_backbone(model, image_size=64), []
    nn.init.normal_(attention.in_proj_bias)
    handle = attention.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    images, base = torch.rand(2, 3, 64, 64), "encoder.layers.encoder_layer_1"
    with torch.no_grad(), Tap(backbone, [f"{base}.{kind}" for kind in ("q", "k", "v", "attn")]) as tap:
        read = tap(images)
        handle.remove()
        for place, kind in enumerate("qkv"):
            rows = slice(48 * place, 48 * (place + 1))
            expected = seen[0] @ attention.in_proj_weight[rows].T + attention.in_proj_bias[rows]
            torch.testing.assert_close(read[f"{base}.{kind}"], expected)
        torch.testing.assert_close(read[f"{base}.attn"], attention(seen[0], seen[0], seen[0])[0])


def test_every_submodule_can_be_tapped() -> None:
    backbone = load_backbone(Net(), image_size=64)
    assert {site.name for site in backbone.sites.tappable_modules()} >= {"patches", "layers.1.norm2", "classify"}


PACKAGE = """
import torch
from torch import nn

def build():
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.LazyLinear(3)).eval()

def ready():
    model = nn.Sequential(nn.Conv2d(3, 4, 32, 32), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(4, 3))
    return model, {"mean": (0.1, 0.2, 0.3), "std": (1, 1, 1), "image_size": 32, "class_names": ["a", "b", "c"]}

def broken():
    raise RuntimeError("no file")

def number():
    return 3
"""


def test_a_function_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nets_of_mine.py").write_text(PACKAGE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    backbone = load_backbone("python:nets_of_mine:ready")
    assert isinstance(backbone, Backbone) and backbone.name == "python:nets_of_mine:ready"
    assert backbone.image_size == (32, 32) and backbone.class_names == ["a", "b", "c"]
    assert backbone.sites["head"].width == 3 and not any(getattr(m, "inplace", False) for m in backbone.modules())
    torch.testing.assert_close(backbone.mean.flatten(), torch.tensor([0.1, 0.2, 0.3]))
    torch.save(backbone.model.state_dict(), tmp_path / "w.pth")
    other = load_backbone("python:nets_of_mine:ready", tmp_path / "w.pth")
    assert other.weights_id == backbone.weights_id
    for name, said in (
        ("python:nets_of_mine", "write python:package.module:function"),
        ("python:no_such_nets:build", "can't import no_such_nets"),
        ("python:nets_of_mine:biuld", "did you mean 'build'"),
        ("python:nets_of_mine:broken", "RuntimeError: no file"),
        ("python:nets_of_mine:number", "has to return an nn.Module"),
    ):
        with pytest.raises(VitvisError, match=said) as caught:
            load_backbone(name)
        assert "\n" not in str(caught.value)


def test_modules_that_take_no_images_say_so() -> None:
    for model in (nn.Conv2d(1, 4, 3), nn.Embedding(3, 4), nn.Conv3d(3, 4, 3)):
        with pytest.raises(VitvisError, match="does not take images"):
            load_backbone(model, image_size=32)
    with pytest.raises(VitvisError, match="three numbers"):
        load_backbone(Net(), image_size=64, mean=(0.5,), in_chans=3)
    with pytest.raises(VitvisError, match="does not take images .*3 channels"):  # one number: one channel
        load_backbone(Net(), image_size=64, mean=(0.5,))
    with pytest.raises(VitvisError, match="has its own"):
        load_backbone("resnet18", "none", mean=(0.5,) * 3)


def test_a_function_that_ends_the_program_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine_leaves.py").write_text("def build():\n    raise SystemExit(0)\n")
    (tmp_path / "mine_broken.py").write_text("def (:\n")
    (tmp_path / "mine_ends.py").write_text("import sys\nsys.exit()\n")
    for name, said in (("mine_leaves", "SystemExit"), ("mine_broken", "SyntaxError"), ("mine_ends", "SystemExit")):
        with pytest.raises(VitvisError, match=said) as caught:
            load_backbone(f"python:{name}:build")
        assert "\n" not in str(caught.value)
