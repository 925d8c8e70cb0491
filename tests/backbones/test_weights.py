"""Files of weights: all that trainers write is read, nothing in them runs, and all of a file fits or none."""

from __future__ import annotations

import argparse
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from vitvis.backbones import Backbone, load_backbone
from vitvis.backbones.archives import read_tensors
from vitvis.errors import VitvisError

VIT, SMALL = "vit_tiny_patch16_224", {"depth": 1, "embed_dim": 48, "num_heads": 4}


def make(name: str = VIT, **kwargs: Any) -> nn.Module:
    torch.manual_seed(0)
    model = timm.create_model(name, **{**(SMALL if name == VIT else {}), **kwargs})
    for parameter in model.parameters():
        parameter.data.add_(0.01)
    return model.eval()


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return make(num_classes=3)


def assert_holds(backbone: Backbone, model: nn.Module) -> None:
    state = backbone.model.state_dict()
    assert state.keys() == model.state_dict().keys()
    for key, value in model.state_dict().items():
        torch.testing.assert_close(state[key], value, rtol=0, atol=0)


class Ours:
    """A class of a training script."""

    def __init__(self) -> None:
        self.words = ["a"]


class Hostile:
    """Runs code where it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return open, (str(self.file), "w")


def write(kind: str, model: nn.Module, folder: Path) -> Path:
    """Write a file as other programs do."""
    state, file = model.state_dict(), folder / f"{kind}.pth"
    extras = {
        "arguments": {"args": argparse.Namespace(lr=0.1, out=Path("/x"))},
        "numpy": {"metric": numpy.float64(0.5), "best": numpy.arange(3)},
        "objects": {"ours": Ours(), "set": {1, 2}, "path": Path("/x")},
        "hostile": {"hostile": Hostile(folder / "hostile.txt")},
    }
    if kind in extras:
        torch.save({"epoch": 3, "state_dict": state, **extras[kind]}, file)
    elif kind == "whole model":
        torch.save(model, file)
    elif kind == "whole model in a checkpoint":
        torch.save({"model": model, "args": argparse.Namespace()}, file)
    elif kind == "scripted":
        torch.jit.trace(model, torch.rand(1, 3, 224, 224), check_trace=False).save(str(file))
    elif kind == "SAFETENSORS":
        file = folder / "weights.SAFETENSORS"
        save_file(state, file)
    elif kind == "lightning":
        keys = {f"model.{key}": value for key, value in state.items()}
        torch.save({"state_dict": {**keys, "loss.weight": torch.ones(3), "n_averaged": torch.tensor(5)}}, file)
    elif kind == "compiled and parallel":
        torch.save({f"module._orig_mod.{key}": value for key, value in state.items()}, file)
    elif kind == "student and teacher":
        others = {f"student.{key}": value + 1 for key, value in state.items()}
        torch.save({**others, **{f"teacher.{key}": value for key, value in state.items()}}, file)
    else:
        torch.save(state, file, _use_new_zipfile_serialization=False)
    return file


KINDS = ["arguments", "numpy", "objects", "hostile", "whole model", "whole model in a checkpoint", "scripted",
         "SAFETENSORS", "lightning", "compiled and parallel", "student and teacher", "old format"]  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*torch.jit")
@pytest.mark.parametrize("kind", KINDS)
def test_files_of_other_programs(kind: str, model: nn.Module, tmp_path: Path) -> None:
    file = write(kind, model, tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        backbone = load_backbone(VIT, file, **SMALL)
    assert_holds(backbone, model)
    assert backbone.num_classes == 3 and backbone.sites["head"].width == 3
    said = [str(warning.message) for warning in caught if "left out" in str(warning.message)]
    assert bool(said) == (kind in ("lightning", "student and teacher"))
    if kind == "lightning":
        assert "loss.weight, n_averaged (not under the model's own prefix)" in said[0]
    assert not (tmp_path / "hostile.txt").exists(), "nothing in a file is called"


PAIRS = [  # what was once loaded in part, without a word
    ("resnet34", {}, "resnet18", {}, "layer1.2"),
    ("seresnet50", {"layers": (1, 1, 1, 1)}, "resnet50", {"layers": (1, 1, 1, 1)}, "layer1.0.se"),
    ("efficientnet_b1", {}, "efficientnet_b0", {}, "blocks.0.1"),
    ("cait_xxs24_224", {"depth": 2}, "cait_xxs24_224", {"depth": 1}, "blocks.1"),
    ("vit_small_patch16_dinov3_qkvb", {"depth": 1}, "vit_small_patch16_dinov3", {"depth": 1}, "q_bias"),
    ("deit_tiny_distilled_patch16_224", SMALL, "deit_tiny_patch16_224", SMALL, "pos_embed"),
    (VIT, {**SMALL, "depth": 2}, VIT, SMALL, "blocks.1"),
]


@pytest.mark.parametrize(("larger", "settings", "smaller", "others", "named"), PAIRS)
def test_a_file_of_a_larger_model_is_no_file_of_a_smaller_one(
    larger: str, settings: dict[str, Any], smaller: str, others: dict[str, Any], named: str, tmp_path: Path
) -> None:
    state = make(larger, **settings).state_dict()
    for prefix in ("", "model."):
        torch.save({"state_dict": {prefix + key: value for key, value in state.items()}}, tmp_path / "w.pth")
        with pytest.raises(VitvisError, match=f"do not fit {smaller}: .*{named}"):
            load_backbone(smaller, tmp_path / "w.pth", **others)


def test_a_classifier_is_left_out_only_where_none_is_wanted(model: nn.Module, tmp_path: Path) -> None:
    torch.save(model.state_dict(), tmp_path / "w.pth")
    with pytest.warns(UserWarning, match=r"left out of .*head.weight, head.bias \(no classifier is wanted\)"):
        backbone = load_backbone(VIT, tmp_path / "w.pth", num_classes=0, **SMALL)
    assert "head" not in backbone.sites and backbone.num_classes == 0
    for ask in (backbone.site, lambda name: backbone.sites.get_site(name)):
        with pytest.raises(VitvisError, match="no classifier"):
            ask("head")


def test_buffers_that_a_model_computes_may_be_missing_or_left_over(tmp_path: Path) -> None:
    state = timm.create_model("resnet18", num_classes=3).state_dict()
    less = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    torch.save(less, tmp_path / "less.pth")
    torch.save({**less, "total_ops": torch.zeros(1)}, tmp_path / "more.pth")
    assert load_backbone("resnet18", tmp_path / "less.pth").num_classes == 3
    with pytest.warns(UserWarning, match="total_ops.*computed by the model itself"):
        load_backbone("resnet18", tmp_path / "more.pth")


def hostile_files(folder: Path) -> dict[str, str]:
    """Files that would fill the memory or never end, and what is said of each."""
    itself: dict[str, Any] = {}
    itself["model"] = itself
    torch.save(itself, folder / "itself.pth")
    deep: dict[str, Any] = {"a": torch.zeros(1)}
    for _ in range(100):
        deep = {"model": deep}
    torch.save(deep, folder / "deep.pth")
    torch.save({"a": torch.zeros(1).expand(10**10)}, folder / "wide.pth")
    with zipfile.ZipFile(folder / "zip.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10**8))
    module = nn.Sequential()
    module._modules["itself"] = module
    torch.save({"model": module}, folder / "module.pth")
    torch.save({"a": 3, "b": [torch.zeros(3)]}, folder / "none.pth")
    return {"itself": "64 deep", "deep": "64 deep", "wide": "8 times", "zip": "4 times", "module": "64 deep",
            "none": "holds no weights"}  # fmt: skip


def test_files_that_would_never_end_are_refused_in_one_line(tmp_path: Path) -> None:
    for name, message in hostile_files(tmp_path).items():
        with pytest.raises(VitvisError, match=message) as caught:
            read_tensors(tmp_path / f"{name}.pth")
        assert len(str(caught.value)) < 400


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_file_cut_short_is_refused_in_one_line(share: float, model: nn.Module, tmp_path: Path) -> None:
    for kind in ("arguments", "whole model", "SAFETENSORS", "old format"):
        file = write(kind, model, tmp_path)
        whole = file.read_bytes()
        file.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(VitvisError, match="can't be read as weights|old kind of file"):
            read_tensors(file)
