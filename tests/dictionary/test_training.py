"""Training a dictionary: what is learned, that a killed one goes on, what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from vitvis import dictionary
from vitvis.backbones import Tap, load_backbone
from vitvis.backbones.dictionary_files import read_dictionary
from vitvis.dictionary.sae import TopKAutoencoder, explained_variance
from vitvis.errors import run_main
from vitvis.runs import read_csv

SETTINGS: dict[str, Any] = {
    "model": "python:tests.tiny:rgb", "site": "blocks.1.block", "expansion": 2, "k": 6, "images": 96, "holdout": 8,
    "batch": 64, "round": 256, "batch_size": 8, "workers": 0, "lr": 3e-3, "dead_after": 300,
    "trainer": {"accelerator": "cpu", "progress": "none", "checkpoint_every": 0.001}, "logger": {"kind": ["none"]},
}  # fmt: skip


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder, random = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for number in range(40):
        pixels = random.integers(0, 120, (32, 32, 3)) + random.integers(0, 130, 3)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number:02}.png")
    return f"folder:{folder}"


@pytest.fixture(scope="module")
def trained(photos: str, tmp_path_factory: pytest.TempPathFactory) -> dictionary.Trained:
    return dictionary.run(SETTINGS, data=photos, out=str(tmp_path_factory.mktemp("out") / "sae"))


def test_numbers_on_photos_held_out_are_those_of_the_file(trained: dictionary.Trained, photos: str) -> None:
    """By the file alone, on the images that were held out, read by another way."""
    backbone, tensors = load_backbone(SETTINGS["model"]), load_file(trained.path / "sae_weights.safetensors")
    held = np.sort(np.random.default_rng(0).permutation(40)[:8])
    files = sorted(Path(photos.removeprefix("folder:")).glob("*.png"))
    images = torch.stack([backbone.transform()(Image.open(files[index])) for index in held])
    with torch.no_grad(), Tap(backbone, ["blocks.1.block"]) as tap:
        x = tap(images)["blocks.1.block"][:, 1:].reshape(-1, 24)
    before = (x - tensors["b_dec"]) @ tensors["W_enc"] + tensors["b_enc"]
    values, places = before.topk(6, dim=1)
    codes = torch.zeros_like(before).scatter(1, places, values.relu())
    output = codes @ tensors["W_dec"] + tensors["b_dec"]
    explained = 1 - ((x - output) ** 2).sum() / ((x - x.mean(0)) ** 2).sum()
    assert trained.summary["explained_variance"] == pytest.approx(float(explained), abs=1e-4)
    assert trained.summary["l0"] == pytest.approx(float((codes > 0).sum(1).float().mean()), abs=0.02)
    assert trained.summary["dead_share"] == pytest.approx(1 - float((codes > 0).any(0).float().mean()), abs=0.03)
    torch.testing.assert_close(read_dictionary(trained.path).encode(x), codes, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(tensors["W_dec"].norm(dim=1), torch.ones(48))


def test_it_learns(trained: dictionary.Trained) -> None:
    rows = read_csv(trained.path / "metrics.csv")
    explained = [float(row["explained_variance"]) for row in rows]
    assert explained[-1] > explained[0] + 0.2 and float(rows[-1]["lr"]) < float(rows[0]["lr"])
    assert json.loads((trained.path / "cfg.json").read_text())["architecture"] == "topk"
    assert not (trained.path / "resume").exists()


def test_killed_it_goes_on_to_the_same_numbers(trained: dictionary.Trained, photos: str, tmp_path: Path) -> None:
    words = [f"{key}={json.dumps(value) if not isinstance(value, str) else value}" for key, value in SETTINGS.items()]
    command = [sys.executable, "-m", "vitvis.dictionary", *words, f"data={photos}", f"out={tmp_path / 'sae'}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    checkpoint = tmp_path / "sae" / "resume" / "training.ckpt"
    while process.poll() is None and not checkpoint.exists():
        os.sched_yield()
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = dictionary.run(SETTINGS, data=photos, out=str(tmp_path / "sae"))
    assert len(read_csv(tmp_path / "sae" / "metrics.csv")) == len(read_csv(trained.path / "metrics.csv"))
    assert done.summary["explained_variance"] == pytest.approx(trained.summary["explained_variance"], abs=1e-4)
    again = dictionary.run(SETTINGS, data=photos, out=str(tmp_path / "sae"))
    assert again.summary == done.summary


def test_nothing_of_the_backbone_is_trained(photos: str, tmp_path: Path) -> None:
    from vitvis.dictionary.module import DictionaryTraining
    from vitvis.dictionary.settings import DictionarySettings

    backbone = load_backbone(SETTINGS["model"])
    module = DictionaryTraining(
        backbone, backbone.site("blocks.1.block"), DictionarySettings(site="blocks.1.block"), 10
    )
    adam = module.configure_optimizers()
    trained = {id(parameter) for group in adam.param_groups for parameter in group["params"]}
    assert trained == {id(parameter) for parameter in module.sae.parameters()}


def test_dead_latents_are_pulled_to_what_is_left_over() -> None:
    """With the revival's gradient a latent that is never on turns towards the residual; without it, it stays."""
    generator = torch.Generator().manual_seed(0)
    sae = TopKAutoencoder(8, 16, 2, generator)
    x = torch.randn(256, 8, generator=generator)
    with torch.no_grad():
        sae.b_enc[5] = -30.0
    coded = sae(x)
    (plain,) = torch.autograd.grad((x - coded.output).square().sum(), sae.W_dec, retain_graph=True)
    assert not plain[5].any()
    dead = torch.tensor([5])
    with torch.no_grad():
        sae.b_enc[5] = 0.0  # AuxK reads the pre-activation of dead latents alone
    coded = sae(x)
    loss = sae.revival(coded, x, dead)
    (pull,) = torch.autograd.grad(loss, sae.W_dec)
    assert pull[5].any() and not pull[torch.arange(16) != 5].any()
    with torch.no_grad():
        sae.W_dec -= 0.05 * pull
        assert float(sae.revival(sae(x)._replace(output=coded.output), x, dead)) < loss.item()


def test_explained_variance_of_the_mean_is_zero_and_of_all_is_one() -> None:
    x = torch.randn(50, 7, generator=torch.Generator().manual_seed(0))
    assert float(explained_variance(x, x.mean(0).expand(50, -1))) == pytest.approx(0, abs=1e-6)
    assert float(explained_variance(x, x)) == pytest.approx(1)
    noise = torch.randn(50, 7, generator=torch.Generator().manual_seed(1)) * 0.1
    wanted = 1 - sum(float(noise[i, j]) ** 2 for i in range(50) for j in range(7)) / sum(
        float(x[i, j] - x[:, j].mean()) ** 2 for i in range(50) for j in range(7)
    )
    assert float(explained_variance(x, x + noise)) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("site=blocks.1.blok", "blocks.1.block"), ("k=1000", "more than the 48"), ("holdout=40", "leaves nothing"),
        ("expansion=0", "above 0"), ("tokens=cls2", "tokens"), ("site=", "site="),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(
    word: str, says: str, photos: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["model=python:tests.tiny:rgb", "site=blocks.1.block", "expansion=2", "holdout=8", f"data={photos}",
             f"out={tmp_path / 'out'}"]  # fmt: skip
    assert run_main(dictionary.main, [*words, word]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and says in error and not (tmp_path / "out").exists()


def test_the_data_comes_again_in_another_order_where_it_is_short(photos: str) -> None:
    from vitvis.data.kinds import open_source
    from vitvis.dictionary.engine import _plan
    from vitvis.dictionary.settings import DictionarySettings

    settings = DictionarySettings(site="x", images=100, holdout=8, round=64, batch_size=4, batch=10)
    course = _plan(settings, open_source(photos), 16, on_gpu=False)
    first, second = course.order[:32], course.order[32:64]
    assert len(course.order) == 100 and set(course.order).isdisjoint(course.held_out) and set(first) | set(second)
    assert sorted(course.order[:32]) == sorted(set(course.order[:32])) and course.batches == 1
    assert course.steps == 25 * 7
