"""What a PNG says is obeyed as a recipe, and as nothing else; parts of a recipe are looked up before a model is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from vitvis.errors import VitvisError
from vitvis.fit import COMMAND
from vitvis.fit.rebuild import check_paths_given


def picture(path: Path, settings: Any, *, zipped: bool = False) -> str:
    """Write a PNG that carries settings; return its name."""
    text = PngInfo()
    text.add_text("settings", settings if isinstance(settings, str) else json.dumps(settings), zip=zipped)
    Image.new("RGB", (8, 8)).save(path / "a.png", pnginfo=text)
    return str(path / "a.png")


def test_a_recipe_is_taken_and_nothing_else(tmp_path: Path) -> None:
    secret = tmp_path / "secret.yaml"
    secret.write_text("steps: 17\n")
    file = picture(tmp_path, {
        "--config": str(secret), "--help": "", "config": str(secret), "recipe": str(secret), "out": "/elsewhere/x",
        "logger": {"kind": ["wandb"], "entity": "stranger"}, "trainer": {"precision": "32-true", "devices": 8},
        "strips": 9, "chunk": 7, "units": ["blocks.1.mlp:3"], "seeds": [5], "steps": 7, "image.start": str(secret),
        "optim": {"lr": 0.5},
    })  # fmt: skip
    settings, options = COMMAND.read(["--from-png", file, "trainer.accelerator=cpu"])
    assert (settings.units, settings.seeds, settings.steps, settings.optim.lr) == (["blocks.1.mlp:3"], [5], 7, 0.5)
    assert settings.logger == type(settings.logger)() and settings.out == "out/again-a"
    assert (settings.recipe, settings.strips, settings.chunk, settings.image.start) == (None, 0, None, "noise")
    assert (settings.trainer.precision, settings.trainer.devices) == ("32-true", "auto")
    assert options == {"--from-png": file}
    check_paths_given(file, settings)


@pytest.mark.parametrize(
    ("name", "carried", "given"),
    [
        ("weights", {"weights": "/home/me/w.safetensors"}, "weights=mine.pth"),
        ("model", {"model": "hf-hub:stranger/model"}, "model=vitvis_vit_2"),
        ("units", {"units": ["blocks.1.block@/home/me/d.npy:0"]}, "units=blocks.1.block@mine.npy:0"),
        ("units", {"units": ["image:/home/me/a.png"]}, "units=head:1"),
        ("image.start", {"image": {"kind": "pixel", "start": "/home/me/a.png"}}, "image.start=mine.png"),
        ("match.search", {"match": {"search": "/home/me"}}, "match.search=mine"),
        ("image.magnitude", {"image": {"kind": "phase", "magnitude": "/home/me"}}, "image.magnitude=mine"),
    ],
)
def test_a_file_is_read_only_where_the_user_names_it(name: str, carried: dict, given: str, tmp_path: Path) -> None:
    file = picture(tmp_path, carried)
    settings, _ = COMMAND.read(["--from-png", file])
    assert "/home/me" not in repr(settings) and "stranger" not in repr(settings)
    with pytest.raises(VitvisError, match=f"add {name}="):
        check_paths_given(file, settings)
    check_paths_given(file, COMMAND.read(["--from-png", file, given])[0])


@pytest.mark.parametrize(
    "text",
    [
        "no JSON", "[1, 2]", '"text"', "null", "[" * 100_000, '{"steps": ' + "9" * 5000 + "}",
        '{"optim": {"schedule": "${oc.env:HOME}"}}', '{"image": "{kind: phase, magnitude: /etc}"}', '{"image": [1]}',
        '{"steps": "--help"}', '{"steps": 0}', '{"augment": {"kornia": {"RandomGrayscale": {"p": NaN}}}}',
        '{"units": {"a": 1}}', "x" * 3_000_000,
    ],
    ids=lambda text: text[:24],
)  # fmt: skip
@pytest.mark.parametrize("zipped", [False, True])
def test_text_that_is_none_of_ours_is_one_line(
    text: str, zipped: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert COMMAND.main(["--from-png", picture(tmp_path, text, zipped=zipped)]) == 2
    out, error = capsys.readouterr()
    assert not out and error.count("\n") == 1 and str(Path.home()) not in error
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("image=3", "no image parameterisation"),
        ("image=fourrier", "'fourier'"),
        ("augment.kornia.RandomGrayscale.p=2", "augment.kornia.RandomGrayscale"),
        ("augment.kornia.RandomGrayscale.p=a", "augment.kornia.RandomGrayscale"),
        ("augment.kornia.RandomGrayscale.q=1", "augment.kornia.RandomGrayscale"),
        ("augment.kornia.RandomGrayscale=1", "augment.kornia.RandomGrayscale"),
        ("augment.kornia.RandomGreyscale.p=1", "'RandomGrayscale'"),
        ("augment.kornia.RandomRotation.degrees=inf", "finite"),
        ("augment.extra.mine.p=1", "mine"),
        ("regularize.extra.mine=1", "mine"),
        ("regularize.extra.tv=1", "regularize.tv"),
    ],
)
def test_parts_are_looked_up_before_a_model_is_loaded(
    typed: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*args: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("vitvis.fit.plan.load_backbone", load)
    assert COMMAND.main([typed, "trainer.accelerator=cpu"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and said in error, error
    assert not list(tmp_path.iterdir())
