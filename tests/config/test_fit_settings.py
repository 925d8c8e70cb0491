"""The settings of fit: names that users rely on, sizes, unit addresses."""

from vitvis.config import merge
from vitvis.config.fields import help_texts, iterate_settings
from vitvis.config.values import flatten
from vitvis.fit import COMMAND
from vitvis.fit.settings import FitSettings

TOP = {"model", "weights", "image_size", "units", "seeds", "steps", "copies", "chunk", "image", "augment", "regularize",
       "objective", "optim", "trainer", "logger", "out"}  # fmt: skip


def test_the_top_level_names_are_those_of_the_design():
    assert TOP <= {name for name, _, _ in iterate_settings(FitSettings) if "." not in name}


def test_every_setting_has_help_and_stands_in_the_help_text():
    text = COMMAND.help()
    for name, _, _ in iterate_settings(FitSettings):
        assert help_texts(FitSettings)[name], name
        assert name in text


def test_words_for_groups():
    settings = merge(FitSettings, ["logger=[csv,wandb]", "image=pixel", "augment.noise=None", "augment.color=true"])
    assert settings.logger.kind == ["csv", "wandb"] and settings.image.kind == "pixel"
    assert settings.augment.noise is None and settings.augment.color is not None


def test_flattened_settings_read_back():
    changes = [
        "units=[blocks.{0,5}.mlp:3,17,-head:~8]",
        "image_size=32x64",
        "augment.noise=null",
        "optim.eps=1e-8",
        "regularize.extra.mine=2",
        "logger.tags=[a,b]",
        "trainer.devices=[0,1]",
        "objective.tokens=[0,0,2,2]",
    ]
    # fmt: skip
    settings = merge(FitSettings, changes)
    from vitvis.config.core import to_container

    assert merge(FitSettings, flatten(to_container(settings))) == settings


def test_wandb_sends_everything_as_text():
    sent = {"optim.lr": 0.05, "augment.noise": None, "trainer.compile": True, "steps": 400.0, "weights": "none"}
    settings = merge(FitSettings, [f"--{key}={value}".removeprefix("--") for key, value in sent.items()])
    assert settings.optim.lr == 0.05 and settings.augment.noise is None and settings.trainer.compile is True
    assert settings.steps == 400 and isinstance(settings.steps, int)
