"""The command: help, errors in one line, two processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vitvis import search
from vitvis.errors import run_main


def test_help_names_the_data_and_needs_no_torch(root: Path) -> None:
    code = "import sys; sys.argv=['search','--help']\nfrom vitvis import search\ntry: search.main(['--help'])\n"
    code += "finally: assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr
    assert "imagefolder:PATH" in done.stdout


def test_without_data_one_line_says_what_to_give(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main(search.main, []) == 2
    error = capsys.readouterr().err
    assert "imagefolder:PATH" in error and error.count("\n") == 1


@pytest.mark.parametrize("setting", ["strips=some", "sample=10", "regions=polygns:x"])
def test_wrong_setting_is_one_line(tmp_path: Path, setting: str, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    assert run_main(search.main, [f"data=folder:{tmp_path}", f"out={tmp_path / 'out'}", setting]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_two_processes_find_what_one_finds(root: Path, tmp_path: Path) -> None:
    import numpy as np
    import timm
    import torch
    from PIL import Image
    from safetensors.torch import save_file

    from vitvis.exemplars import read_search

    torch.manual_seed(0)
    save_file(timm.create_model("vit_tiny_patch16_224", img_size=32).state_dict(), tmp_path / "tiny.safetensors")
    for number in range(13):
        pixels = np.random.default_rng(number).integers(0, 255, (32, 32, 3), dtype=np.uint8)
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
    for devices in (1, 2):
        subprocess.run(
            [sys.executable, "-m", "vitvis.search", "model=vit_tiny_patch16_224", "image_size=32", "k=4", "sample=0",
             f"weights={tmp_path / 'tiny.safetensors'}", f"data=folder:{tmp_path / 'photos'}", "units=blocks.1.mlp:*",
             f"trainer.devices={devices}", "trainer.accelerator=cpu", "workers=0", "thumbs=none", "trainer.threads=1",
             "batch_size=4", f"out={tmp_path / str(devices)}"],
            cwd=root, check=True, timeout=300,
        )  # fmt: skip
    one, two = read_search(tmp_path / "1"), read_search(tmp_path / "2")
    for left, right in zip(one.records, two.records, strict=True):
        for name in ("strongest_index", "strongest_activation", "strongest_token", "weakest_index", "hist_counts"):
            assert left[name] == right[name]
    assert np.array_equal(one.maps("blocks.1.mlp"), two.maps("blocks.1.mlp"))
