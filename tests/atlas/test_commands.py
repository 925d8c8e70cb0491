"""The command on a unit's page, read by the shell and by the parser of `vitvis.fit`, gives the run's own settings."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from vitvis.atlas.commands import Commands
from vitvis.atlas.model import Picture, Run
from vitvis.config.core import merge, to_container, to_yaml
from vitvis.config.paths import expand_user
from vitvis.fit import COMMAND
from vitvis.fit.settings import FitSettings


def read_back(line: str) -> FitSettings:
    words = shlex.split(line)
    assert words[:3] == ["python", "-m", "vitvis.fit"]
    return COMMAND.read(words[3:])[0]


def make_run(path: Path, kind: str, config: str) -> Run:
    (path / "config.yaml").write_text(config)
    manifest = {"kind": kind, "backbone": {"name": "open_clip:ViT-B-32"}, "recipe_hash": "0123456789ab"}
    return Run("r0", "run", path, kind, manifest)


@pytest.mark.parametrize(
    "address",
    [
        "blocks.4.mlp:17",
        "-blocks.4.mlp:17",
        "blocks.4.block@my dir/it's.npy:0",
        'text:"a photo of a concert hall, at night"',
        'text:"a dog"*0.7+"a beach"*0.3',
        "image:photos/my photo.jpg",
    ],
)
def test_any_unit_is_the_one_that_is_made(address: str, tmp_path: Path) -> None:
    run = make_run(tmp_path, "fit", to_yaml(merge(FitSettings)))
    read = read_back(Commands().line(Picture(run, 0, {"address": address, "seed": 3}, None), address))
    assert read.units == [expand_user(address)]
    assert read.seeds == [3]


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["recipe=ghiasi2022"],
        ["recipe=clip", "model=open_clip:ViT-B-32", "weights=/home/me/my weights/it's.pt"],
        ["augment.affine=null", "augment.color={}", "augment.noise.start=1e-3", "optim.lr=1e-4"],
        ["augment.kornia.RandomGrayscale.p=0.5", "regularize.extra.mine=0.1", "objective.tokens=[0,0,3,3]"],
        ["image_size=192x256", "optim.betas=[0.9,0.999]", "trainer.devices=8", "logger.kind=wandb", "strips=6"],
    ],
)
def test_every_setting_that_makes_an_image_comes_back(overrides: list[str], tmp_path: Path) -> None:
    from vitvis.fit import recipe_of

    settings = COMMAND.read(overrides)[0]
    run = make_run(tmp_path, "fit", to_yaml(settings))
    read = read_back(Commands().line(Picture(run, 0, {"address": "head:1", "seed": 0}, None), "head:1"))
    assert recipe_of(read) == recipe_of(settings)
    for name in ("model", "weights", "image_size", "steps", "copies"):
        assert getattr(read, name) == getattr(settings, name)
    assert read.trainer.devices == FitSettings().trainer.devices  # not how many did it


def test_a_unit_that_only_a_search_knows_gets_a_first_image(tmp_path: Path) -> None:
    run = make_run(tmp_path, "search", "model: vitvis_resnet\nweights: hub\nimage_size: 96\nk: 20\nout: out/x\n")
    read = read_back(Commands().line(Picture(run, 0, {}, None), "layer1.0.act2:4"))
    expected = merge(FitSettings, {"model": "vitvis_resnet", "image_size": 96, "units": ["layer1.0.act2:4"]})
    assert to_container(read) == to_container(expected)


def test_without_settings_the_runs_own_command_is_narrowed(tmp_path: Path) -> None:
    run = make_run(tmp_path, "fit", "{")
    run.manifest["command"] = "python -m vitvis.fit steps=7 'units=blocks.*.mlp:~4' out=mine"
    read = read_back(Commands().line(Picture(run, 0, {"address": "head:1", "seed": 2}, None), "head:1"))
    assert (read.units, read.seeds, read.steps) == (["head:1"], [2], 7)
    assert read.out != "mine"
