"""The shipped files: what they hold, that damage is noticed, that both models are of one size class."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch

from vitvis import bundled
from vitvis.bundled import BUNDLED, class_names, models, weights_origin
from vitvis.bundled.models import ChecksumError, load_bundled
from vitvis.errors import VitvisError

#: Logits 0, 50, 100, 150 of each model on `pattern()`, written down when the files were exported.
FINGERPRINTS = {
    "vitvis_vit": (5.3867, -0.9578, 1.3892, 0.0364),
    "vitvis_resnet": (7.1333, -2.003, 0.8165, -0.0902),
}
NAMES = tuple(BUNDLED)


def pattern() -> torch.Tensor:
    """Return one image `[1, 3, 64, 64]` of smooth waves in [-1, 1], the same on every machine."""
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    return torch.stack([torch.sin(rows / 5), torch.cos(columns / 7), torch.sin((rows + columns) / 11)])[None]


@pytest.mark.parametrize("name", NAMES)
def test_the_logits_are_those_of_the_shipped_file(name: str) -> None:
    with torch.no_grad():
        logits = load_bundled(name)(pattern())
    assert logits.shape == (1, 200)
    assert logits[0, ::50].tolist() == pytest.approx(FINGERPRINTS[name], abs=2e-3)


@pytest.mark.parametrize("name", NAMES)
def test_a_loaded_model_is_float32_in_eval_mode_and_knows_its_classes(name: str) -> None:
    model = load_bundled(name)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert not model.training
    assert model.class_names == class_names(name)


@pytest.mark.parametrize("name", NAMES)
def test_timm_itself_builds_the_same_model_without_a_network(name: str) -> None:
    ours, theirs = load_bundled(name), timm.create_model(name, pretrained=True)
    assert all(torch.equal(a, theirs.state_dict()[key]) for key, a in ours.state_dict().items())


@pytest.mark.parametrize("name", NAMES)
def test_the_settings_of_images_are_those_timm_reports(name: str) -> None:
    config = timm.data.resolve_model_data_config(load_bundled(name, pretrained=False))
    assert (config["mean"], config["std"]) == (BUNDLED[name].mean, BUNDLED[name].std)
    assert config["input_size"] == (3, 64, 64) and config["crop_pct"] == 1.0


@pytest.mark.parametrize("change", ["flip a bit", "cut short", "remove"])
def test_a_damaged_file_is_named_in_one_line(change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = BUNDLED["vitvis_vit"]
    content = bytearray(info.file.read_bytes())
    content[len(content) // 2] ^= 1
    file = tmp_path / "vitvis_vit.safetensors"
    if change != "remove":
        file.write_bytes(content if change == "flip a bit" else content[:-1])
    monkeypatch.setattr(bundled, "BUNDLED", {"vitvis_vit": dataclasses.replace(info, file=file)})
    with pytest.raises(ChecksumError, match=str(file)) as caught:
        load_bundled("vitvis_vit")
    assert isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)


def test_random_weights_need_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = dataclasses.replace(BUNDLED["vitvis_vit"], file=tmp_path / "none")
    monkeypatch.setattr(bundled, "BUNDLED", {"vitvis_vit": gone})
    assert load_bundled("vitvis_vit", pretrained=False).num_classes == 200


def test_an_unknown_name_gets_the_nearest_one() -> None:
    with pytest.raises(VitvisError, match="did you mean 'vitvis_vit'"):
        load_bundled("vitvis_vti")


def test_both_models_are_of_one_size_class() -> None:
    vit, resnet = (sum(p.numel() for p in load_bundled(n, pretrained=False).parameters()) for n in NAMES)
    assert 4e6 < resnet < 7e6
    assert abs(resnet - vit) / vit < 0.15


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_at_most_16_mb(name: str) -> None:
    assert BUNDLED[name].file.stat().st_size <= 16_000_000


def test_a_larger_canvas_keeps_the_position_embedding_in_its_corners() -> None:
    small, large = load_bundled("vitvis_vit"), load_bundled("vitvis_vit", img_size=128)
    assert large.pos_embed.shape == (1, 1 + 16 * 16, 192)
    assert torch.equal(small.pos_embed[:, 0], large.pos_embed[:, 0])
    near, far = (
        torch.nn.functional.cosine_similarity(small.pos_embed[0, 1], large.pos_embed[0, i], 0) for i in (1, 256)
    )
    assert near > 0.9 > far


@pytest.mark.parametrize("name", NAMES)
def test_resized_photos_give_logits(name: str) -> None:
    model = load_bundled(name, **({"dynamic_img_size": True} if name == "vitvis_vit" else {}))
    with torch.no_grad():
        assert model(torch.zeros(1, 3, 96, 80)).shape == (1, 200)


def test_class_names_are_200_words_and_all_different() -> None:
    names = class_names("vitvis_vit")
    assert (len(names), len(set(names))) == (200, 200)
    assert names[0] == "goldfish"
    assert not any("," in word or word != word.strip() for word in names)


def test_the_registry_needs_no_torch() -> None:
    code = "import sys, vitvis.bundled; sys.exit('torch' in sys.modules or 'timm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_shipped_files_have_the_checksums_of_the_registry() -> None:
    assert {n: models.sha256_of(BUNDLED[n].file) for n in NAMES} == {n: BUNDLED[n].sha256 for n in NAMES}


@pytest.mark.parametrize(
    ("name", "weights", "word"),
    [("vitvis_vit", "hub", "bundled"), ("resnet18", "hub", "hub"), ("vitvis_vit", "none", "random"),
     ("vitvis_vit", "/home/me/w.pth", "w.pth")],
)  # fmt: skip
def test_where_weights_come_from_in_a_word(name: str, weights: str, word: str) -> None:
    assert weights_origin(name, weights) == word
