"""The front door: files, hub, sizes, and mistakes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from vitvis.backbones import load_backbone
from vitvis.errors import VitvisError

SMALL = {"depth": 1, "embed_dim": 48, "num_heads": 4}


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return timm.create_model("vit_tiny_patch16_224", num_classes=7, **SMALL).state_dict()


def assert_loaded(file: Path, state: dict[str, torch.Tensor], **tolerance: float) -> None:
    backbone = load_backbone("vit_tiny_patch16_224", file, **SMALL)
    assert backbone.num_classes == 7, "the head takes its size from the file"
    for key, value in backbone.model.state_dict().items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, state[key].float(), **tolerance)
    assert not backbone.training and not any(p.requires_grad for p in backbone.parameters())


def test_safetensors_in_half_precision(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    half = {key: value.half() for key, value in state.items()}
    save_file(half, tmp_path / "w.safetensors")
    assert_loaded(tmp_path / "w.safetensors", half, atol=0, rtol=0)


@pytest.mark.parametrize("wrapper", ["state_dict", "model", None])
@pytest.mark.parametrize("prefix", ["module.", "module.model.", "_orig_mod.", ""])
def test_checkpoints_of_trainers(
    tmp_path: Path, state: dict[str, torch.Tensor], wrapper: str | None, prefix: str
) -> None:
    keys = {prefix + key: value for key, value in state.items()}
    torch.save({wrapper: keys, "epoch": 3} if wrapper else keys, tmp_path / "w.pth")
    assert_loaded(tmp_path / "w.pth", state)


def test_weights_are_named_by_content(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    torch.save(state, tmp_path / "a.pth")
    save_file({key: value.clone() for key, value in state.items()}, tmp_path / "b.safetensors")
    other = {key: value + 1 if key == "head.bias" else value for key, value in state.items()}
    torch.save(other, tmp_path / "c.pth")
    a, b, c = (
        load_backbone("vit_tiny_patch16_224", tmp_path / f, **SMALL) for f in ("a.pth", "b.safetensors", "c.pth")
    )
    assert a.weights_id == b.weights_id != c.weights_id
    assert len(a.weights_id) == 12


def message(*args: object, **kwargs: object) -> str:
    with pytest.raises(VitvisError) as caught:
        load_backbone(*args, **kwargs)  # type: ignore[arg-type]
    text = str(caught.value)
    assert "\n" not in text and len(text) < 500
    return text


def test_mistakes_in_one_line(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    assert "did you mean 'vit_base_patch16_224'?" in message("vit_bse_patch16_224", "none")
    assert "tags: " in message("vit_tiny_patch16_224.nope", "none")
    assert "no such file" in message("resnet18", tmp_path / "w.pth")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"these are no weights")
    assert "can't be read as weights" in message("resnet18", broken)
    torch.save({"model": torch.nn.Linear(2, 2)}, tmp_path / "object.pth")
    assert "the file starts with weight, bias" in message("resnet18", tmp_path / "object.pth")
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    assert "holds no weights" in message("resnet18", tmp_path / "empty.pth")
    torch.save(state, tmp_path / "vit.pth")
    text = message("resnet18", tmp_path / "vit.pth")
    assert "do not fit resnet18" in text and "conv1.weight" in text
    text = message("vit_tiny_patch16_224", tmp_path / "vit.pth", depth=2, embed_dim=48, num_heads=4)
    assert "12 of" in text and "blocks.1." in text
    text = message("vit_tiny_patch16_224", tmp_path / "vit.pth", depth=1, embed_dim=24, num_heads=4)
    assert "[1, 1, 48] in the file and [1, 1, 24] in the model" in text
    bad = {**state, "head.bias": state["head.bias"] * float("nan")}
    torch.save(bad, tmp_path / "nan.pth")
    assert "NaN" in message("vit_tiny_patch16_224", tmp_path / "nan.pth", **SMALL)
    assert "unexpected" in message("resnet18", "none", no_such_setting=1)


def test_no_network_is_told_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    start = time.monotonic()
    text = message("vit_tiny_patch16_224", cache_dir=str(tmp_path))
    assert "no network" in text and "weights=FILE" in text and "bundled" in text
    assert time.monotonic() - start < 10


def test_other_image_sizes() -> None:
    with pytest.warns(UserWarning, match="weights=none"):
        vit = load_backbone("vit_tiny_patch16_224", "none", 96, **SMALL)
        cnn = load_backbone("resnet18", "none", (64, 96))
    assert vit.image_size == (96, 96) and vit(torch.rand(1, 3, 96, 96)).shape == (1, 1000)
    assert cnn.image_size == (64, 96) and cnn.sites["layer4.1.block"].grid == (2, 3)
    with pytest.warns(UserWarning, match="weights=none"):  # settings may arrive as text
        assert [load_backbone("resnet18", "none", size).image_size for size in ("64", "64x96", [64, 96])] == [
            (64, 64),
            (64, 96),
            (64, 96),
        ]
    assert "ROWSxCOLUMNS" in message("resnet18", "none", "big")
    for wrong in ("64x", "x64", "64x64x64", 1, "1", 99999999, "9" * 5000, [64, 64, 64], 64.5, True, [], -64):
        assert "image_size" in message("resnet18", "none", wrong)
    assert "use 64 or 80" in message("vit_tiny_patch16_224", "none", 65, **SMALL)
    assert "use 96 or 112" in message("vit_tiny_patch16_224", "none", "64x100", **SMALL)
    with pytest.warns(UserWarning, match="weights=none"):  # strides overlap and pad: nothing is left out
        assert load_backbone("resnet18", "none", 65).image_size == (65, 65)
    text = message("hiera_tiny_224", "none", 230)
    assert "230 x 230" in text and "224 x 224" in text


def test_random_weights_have_a_seed_of_their_own_and_are_marked() -> None:
    names = []
    for callers, own in ((0, 0), (1, 0), (0, 1)):
        torch.manual_seed(callers)
        expected = torch.rand(3)
        torch.manual_seed(callers)
        with pytest.warns(UserWarning, match="random"):
            backbone = load_backbone("vit_tiny_patch16_224", "none", seed=own, **SMALL)
        assert torch.equal(torch.rand(3), expected), "the caller's stream goes on where it was"
        assert backbone.weights == "none"
        names.append(backbone.weights_id)
    assert names[0] == names[1] != names[2]


def test_transform_is_timms_without_the_normalisation() -> None:
    with pytest.warns(UserWarning, match="random"):
        backbone = load_backbone("resnet18", "none")
    picture = Image.effect_mandelbrot((300, 200), (-2, -1, 1, 1), 40).convert("L")
    ours = backbone.transform()(picture)
    config = timm.data.resolve_model_data_config(backbone.model)
    theirs = timm.data.create_transform(**config, is_training=False)(picture.convert("RGB"))
    assert ours.dtype == torch.float32 and 0 <= ours.min() and ours.max() <= 1
    torch.testing.assert_close(backbone.normalize(ours[None])[0], theirs, atol=1e-5, rtol=1e-5)


def test_class_names_of_imagenet() -> None:
    with pytest.warns(UserWarning, match="random"):
        assert load_backbone("resnet18", "none").class_names[207] == "golden retriever"  # type: ignore[index]
        assert load_backbone("resnet18", "none", num_classes=5).class_names is None


def test_real_weights(shared_dir: Path) -> None:
    file = shared_dir / "weights" / "sam2_hiera_tiny.fp16.safetensors"
    backbone = load_backbone("sam2_hiera_tiny", file, 224)
    reference = timm.create_model("sam2_hiera_tiny", pretrained=True, pretrained_cfg_overlay={"file": str(file)}).eval()
    images = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(backbone(images), reference(backbone.normalize(images)), atol=2e-3, rtol=1e-2)


def test_a_folder_that_holds_no_model_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(VitvisError, match=r"local-dir:.*there is no config.json in"):
        load_backbone(f"local-dir:{tmp_path}", "none")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(VitvisError, match="local-dir:"):
        load_backbone(f"local-dir:{tmp_path}", "none")
