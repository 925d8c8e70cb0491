"""The command: what it says without data, and that it classifies real photos."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from vitvis.errors import run_main
from vitvis.evaluate import main


def test_without_data_one_line_says_what_to_give(capsys):
    assert run_main(main, []) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "data=KIND:PATH" in error and "imagenet9" in error


def test_help_and_settings_need_no_torch(root):
    code = "import sys, vitvis.evaluate; print([name for name in ('torch', 'timm', 'pyarrow') if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data=nowhere"], "no such file or folder"),
        (["data=.", "prob=masks"], "did you mean 'probe'"),
        (["data=.", "probe=mask"], "did you mean 'masks'"),
        (["data=.", "fill=blck"], "did you mean 'black'"),
    ],
)
def test_mistakes_are_one_line(arguments, message, capsys):
    assert run_main(main, arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and message in error


@pytest.mark.shared
def test_mobilenet_knows_a_cat_and_a_cup(shared_dir):
    """The CNN of ../shared against photos of scikit-image."""
    data = pytest.importorskip("skimage.data")
    from PIL import Image

    from vitvis.backbones import load_backbone
    from vitvis.data.classes import imagenet_ids, names_of

    backbone = load_backbone("mobilenetv2_100", weights=str(shared_dir / "weights/mobilenetv2_100.fp16.safetensors"))
    names = names_of(imagenet_ids())
    photos = [Image.fromarray(photo) for photo in (data.chelsea(), data.coffee())]
    with torch.inference_mode():
        logits = backbone(torch.stack([backbone.transform()(photo) for photo in photos]))
    cat, coffee = ([names[index] for index in row.topk(5).indices] for row in logits)
    assert {cat[0], cat[1]} & {"tabby", "tiger cat", "Egyptian cat"}
    assert {coffee[0], coffee[1]} & {"espresso", "cup", "coffee mug", "eggnog"}


@pytest.mark.shared
@pytest.mark.slow
def test_ranks_agree_with_one_process(shared_dir, tmp_path, root):
    """Seven photos on two ranks: an odd number, nothing padded, the same numbers to the digit."""
    import json

    found = []
    for devices in (1, 2):
        out = tmp_path / str(devices)
        words = [
            f"data=parquet:{shared_dir / 'data/tiny-imagenet/val.parquet'}",
            "limit=7", "models=[mobilenetv2_100]", f"weights={shared_dir / 'weights/mobilenetv2_100.fp16.safetensors'}",
            "trainer.accelerator=cpu", f"trainer.devices={devices}", "workers=0", "seed=3", f"out={out}",
            "trainer.threads=1", "bootstrap=100",
        ]  # fmt: skip
        if devices == 1:
            assert main(words) == 0
        else:
            command = [sys.executable, "-m", "vitvis.evaluate", *words]
            subprocess.run(command, cwd=root, check=True, capture_output=True, timeout=300)
        found.append(json.loads((out / "results.json").read_text()))
    assert [row["n"] for row in found[0]["rows"]] == [7, 7, 7]
    assert found[0]["rows"] == found[1]["rows"] and found[0]["by_box_size"] == found[1]["by_box_size"]
    assert found[0]["rows"][0]["top5"] > 0
