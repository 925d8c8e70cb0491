"""Training: the shipped configs run, a run that is killed goes on exactly, averages and mixing do what they say."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from vitvis.bundled.export import export, read_weights
from vitvis.bundled.settings import TrainSettings
from vitvis.bundled.train import main, train
from vitvis.config.core import merge
from vitvis.errors import VitvisError, run_main

TINY = [
    "batch=8",
    "data.held_out=8",
    "epochs=0.8",
    "checkpoint_every=2",
    "accelerator=cpu",
    "optim.warmup=2",
]  # 4 steps


def settings_of(root: Path, model: str, photos: Path, out: Path, *more: str) -> TrainSettings:
    words = [*TINY, f"data.path={photos}", f"data.cache={photos}/cache", f"out={out}", *more]
    return merge(TrainSettings, root / "configs" / "bundled" / f"{model}.yaml", words)


@pytest.mark.parametrize("model", ["vitvis_vit", "vitvis_resnet"])
def test_two_steps_of_the_shipped_config_change_every_weight(model: str, root: Path, photos_dir: Path, tmp_path: Path):
    first = read_weights(train(settings_of(root, model, photos_dir, tmp_path / "a", "stop_at=1")))
    second = read_weights(train(settings_of(root, model, photos_dir, tmp_path / "a", "stop_at=3")))
    assert all(value.isfinite().all() for value in second.values())
    same = [name for name, value in first.items() if value.is_floating_point() and torch.equal(value, second[name])]
    assert not same


def test_both_configs_differ_in_the_model_alone(root: Path) -> None:
    vit, resnet = (merge(TrainSettings, root / f"configs/bundled/vitvis_{m}.yaml") for m in ("vit", "resnet"))
    resnet.model = vit.model
    assert vit == resnet


def test_the_recipe_that_trains_on_passes_through_all_its_phases(root: Path, photos_dir: Path, tmp_path: Path) -> None:
    words = [*TINY, "epochs=16", f"data.path={photos_dir}", f"data.cache={photos_dir}/cache", f"out={tmp_path}"]
    train(merge(TrainSettings, root / "configs" / "bundled" / "relay-end.yaml", ["model=vitvis_vit", *words]))
    with (tmp_path / "metrics" / "version_0" / "metrics.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["train/loss"]]
    names = ("train/size", "train/patch_drop", "train/noise")
    found = [tuple(float(row[name]) for name in names) for row in rows]
    # 80 steps, every second one logged: 48 px from step 74.3 on, 64 px from step 76.6 on.
    expected = [(40, 0.25, 0)] * 37 + [(48, 0, 0.1)] + [(64, 0, 0.1)] * 2
    np.testing.assert_allclose(found, expected, rtol=1e-6)  # the log holds float32


@pytest.mark.parametrize("extra", [(), ("ema=0.5", "drop_path=0.2", "data.mixup=0.3", "data.cutmix=1.0")])
def test_a_run_that_stops_goes_on_to_the_same_weights(
    extra: tuple[str, ...], root: Path, photos_dir: Path, tmp_path: Path
) -> None:
    whole = read_weights(train(settings_of(root, "vitvis_vit", photos_dir, tmp_path / "whole", *extra)))
    train(settings_of(root, "vitvis_vit", photos_dir, tmp_path / "parts", "stop_at=2", *extra))
    parts = read_weights(train(settings_of(root, "vitvis_vit", photos_dir, tmp_path / "parts", *extra)))
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())


def test_a_run_branches_off_from_a_checkpoint_of_another(root: Path, photos_dir: Path, tmp_path: Path) -> None:
    # Step 2 is in the constant part of both lengths, 4 steps and 5: a branch may end sooner than its trunk would.
    words = ("ema=0.5", "optim.warmup=1", "optim.decay=0.25", "sizes=[[0,32]]")
    longer = (*words, "epochs=1", "seed=7")
    trunk = train(settings_of(root, "vitvis_vit", photos_dir, tmp_path / "trunk", *longer, "stop_at=2"))
    before = trunk.read_bytes()
    branch = train(settings_of(root, "vitvis_vit", photos_dir, tmp_path / "branch", *words, f"resume={trunk}"))
    assert trunk.read_bytes() == before
    afresh = train(settings_of(root, "vitvis_vit", photos_dir, tmp_path / "afresh", *words))
    same = train(settings_of(root, "vitvis_vit", photos_dir, tmp_path / "trunk", *words))  # goes on where it stands
    expected, found, other = (read_weights(path) for path in (same, branch, afresh))
    assert all(torch.equal(value, found[name]) for name, value in expected.items())
    assert not torch.equal(other["head.weight"], found["head.weight"])


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("resume=none.ckpt", "resume=none.ckpt: no such file"),
        ("init=none.safetensors", "init=none.safetensors: no such file"),
        ("sizes=[[0.5,32]]", "sizes=.*start at 0"),
        ("sizes=[[0,32],[0.9,64],[0.8,48]]", "sizes=.*rise"),
        ("sizes=[[0,4]]", "at least 8 px"),
        ("patch_drop=[[0,1.0]]", "patch_drop=.*below 1"),
        ("data.noise=[[0,0.1,3]]", "data.noise=.*pairs"),
        ("data.noise=[[0,-0.1]]", "data.noise=.*at least 0"),
    ],
)
def test_what_can_not_be_is_said_before_anything_is_made(
    word: str, message: str, root: Path, photos_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(VitvisError, match=message):
        train(settings_of(root, "vitvis_vit", photos_dir, tmp_path / "run", word))
    assert not (tmp_path / "run").exists()


def test_averaged_weights_lag_behind(root: Path, photos_dir: Path, tmp_path: Path) -> None:
    plain = train(settings_of(root, "vitvis_resnet", photos_dir, tmp_path / "plain", "stop_at=2"))
    averaged = train(settings_of(root, "vitvis_resnet", photos_dir, tmp_path / "ema", "stop_at=2", "ema=0.9"))
    start = train(settings_of(root, "vitvis_resnet", photos_dir, tmp_path / "start", "stop_at=1"))
    last, mean, first = (read_weights(path)["fc.bias"] for path in (plain, averaged, start))
    assert (mean - first).norm() < 0.5 * (last - first).norm()


def test_export_stores_halves_that_read_back(root: Path, photos_dir: Path, tmp_path: Path) -> None:
    checkpoint = train(settings_of(root, "vitvis_resnet", photos_dir, tmp_path / "run", "stop_at=1"))
    file = tmp_path / "weights.safetensors"
    digest = export(checkpoint, file)
    assert len(digest) == 64 and list(tmp_path.glob(".*")) == []
    exact, stored = read_weights(checkpoint), read_weights(file)
    assert exact.keys() == stored.keys()
    for name, value in exact.items():
        torch.testing.assert_close(stored[name], value, rtol=1e-3, atol=1e-6)


def test_a_file_can_be_the_mean_of_several_branches(root: Path, photos_dir: Path, tmp_path: Path) -> None:
    files = [
        train(settings_of(root, "vitvis_resnet", photos_dir, tmp_path / str(seed), f"seed={seed}")) for seed in (0, 1)
    ]
    first, second = (read_weights(file) for file in files)
    export(files[0], tmp_path / "mean.safetensors", [files[1], files[0]])  # 2 : 1
    for name, value in read_weights(tmp_path / "mean.safetensors").items():
        expected = first[name] if "num_batches" in name else (2 * first[name] + second[name]) / 3
        torch.testing.assert_close(value, expected, rtol=1e-3, atol=1e-6)
    other = train(settings_of(root, "vitvis_vit", photos_dir, tmp_path / "vit"))
    with pytest.raises(VitvisError, match=r"holds weights of another model"):
        export(files[0], tmp_path / "never.safetensors", [other])
    assert not (tmp_path / "never.safetensors").exists()


def test_a_training_can_start_from_an_exported_file(root: Path, photos_dir: Path, tmp_path: Path) -> None:
    checkpoint = train(settings_of(root, "vitvis_resnet", photos_dir, tmp_path / "run", "stop_at=1"))
    file = tmp_path / "weights.safetensors"
    export(checkpoint, file)
    words = ("stop_at=1", f"init={file}", "optim.lr=0")
    again = read_weights(train(settings_of(root, "vitvis_resnet", photos_dir, tmp_path / "again", *words)))
    assert torch.equal(again["fc.weight"], read_weights(file)["fc.weight"])


def test_missing_photos_and_files_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main(main, [f"data.path={tmp_path}", f"out={tmp_path}/out"]) == 2
    assert capsys.readouterr().err.strip().count("\n") == 0
    with pytest.raises(VitvisError, match="no such file"):
        read_weights(tmp_path / "none.ckpt")
