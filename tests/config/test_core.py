"""Settings mean the same however they are written: command line, W&B's str(), YAML, Python."""

import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitvis.config import Command, merge, setting, to_container, to_yaml
from vitvis.config.addresses import parse_addresses
from vitvis.errors import VitvisError, nearest, run_main


@dataclass
class Noise:
    std: float = setting(0.5, "standard deviation", minimum=0)
    shared: bool = setting(False, "one draw for all")


@dataclass
class Group:
    kind: str = setting("pixel", "which", choices=("pixel", "fourier"))
    noise: Noise | None = setting(Noise, "noise")
    blur: Noise | None = setting(None, "off unless asked for")
    extra: dict[str, Any] = setting({}, "anything")


@dataclass
class Schema:
    weights: str = setting("hub", "hub, none or a file")
    units: list[str] = setting(["a:0"], "addresses", parser=parse_addresses)
    steps: int = setting(60, "steps", unit="steps", minimum=1)
    rate: float | None = setting(None, "learning rate")
    free: Any = setting(None, "any value")
    seeds: list[int] = setting([0], "seeds")
    group: Group = setting(Group, "a group")


TEST = Command(name="test", settings=Schema, action=lambda settings, options: 0, summary="", description="A test.")


def read(*argv: str) -> Schema:
    return TEST.read(argv)[0]


@pytest.mark.parametrize("form", [["steps=7"], ["--steps=7"], ["--steps", "7"], ["steps=7.0"], ["steps=70", "steps=7"]])
def test_every_form_of_an_override_means_the_same(form):
    assert read(*form) == read("steps=7") != read()


@pytest.mark.parametrize(
    ("text", "value"),
    [("None", None), ("null", None), ("1e-3", 1e-3), ("2", 2), ("True", True), ("[1,2]", [1, 2]), ("a:b", "a:b"),
     ("{a: 1e-3}", {"a": 1e-3}), ("'None'", "None"), ("blocks.{0,5}.mlp", "blocks.{0,5}.mlp"), ("-3", -3)],
)  # fmt: skip
def test_a_setting_of_any_type_reads_what_wandb_sends(text, value):
    assert read(f"free={text}").free == value


@given(st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.floats(allow_nan=False, allow_infinity=False))
def test_str_of_a_scalar_reads_back_as_that_scalar(value):
    read_back = read(f"free={value!s}").free
    assert read_back == value and isinstance(read_back, type(value))


@pytest.mark.parametrize("text", ["None", "null", "1e-3", "1.0e-3", "0.001", "3"])
def test_optional_number(text):
    expected = None if text in ("None", "null") else float(text)
    assert read(f"rate={text}").rate == expected


def test_none_is_a_word_where_a_text_is_wanted():
    assert read("weights=None").weights == read("weights=none").weights == "none"


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("blocks.*.mlp:0-7", ["blocks.*.mlp:0-7"]),
        ("head:207", ["head:207"]),
        ("-head:207", ["-head:207"]),
        ("blocks.{0,3,5}.mlp:3,17,42", ["blocks.{0,3,5}.mlp:3,17,42"]),
        ("[blocks.0.mlp:3,17-19,head:~8]", ["blocks.0.mlp:3,17-19", "head:~8"]),
        ("['blocks.*.q:*', \"head:1\"]", ["blocks.*.q:*", "head:1"]),
        ("blocks.0.q:h2:3,h4:*", ["blocks.0.q:h2:3,h4:*"]),
        ("blocks.4.block@a=b.npy:0", ["blocks.4.block@a=b.npy:0"]),
    ],
)
def test_unit_addresses_survive_unquoted(text, units, tmp_path):
    assert read(f"units={text}").units == units
    assert read("--units", text).units == units
    (tmp_path / "a.yaml").write_text(f'units: "{text}"\n' if '"' not in text else f"units: {text}\n")
    assert read("--config", str(tmp_path / "a.yaml")).units == units


def test_layers_are_laid_in_order(tmp_path):
    (tmp_path / "a.yaml").write_text("steps: 1\nrate: 1e-3\ngroup: {noise: {std: 2}}\n")
    (tmp_path / "b.yaml").write_text("steps: 2\ngroup.kind: fourier\n")
    settings = read("steps=3", "--config", str(tmp_path / "a.yaml"), "--config", str(tmp_path / "b.yaml"))
    assert (settings.steps, settings.rate) == (3, 1e-3)
    assert settings.group == Group(kind="fourier", noise=Noise(std=2.0))


def test_optional_groups_switch_off_and_on():
    assert read("group.noise=null").group.noise is None
    assert read("group.noise=None", "group.noise.std=0.1").group.noise == Noise(std=0.1)
    assert read("group.blur.std=3").group.blur == Noise(std=3.0)
    assert read("group.blur=true").group.blur == Noise()


def test_a_word_for_a_group_is_its_kind():
    assert read("group=fourier") == read("group.kind=fourier")


def test_open_groups_take_any_key():
    assert read("group.extra.mine.weight=1e-3", "group.extra.mine.name=x").group.extra == {
        "mine": {"weight": 1e-3, "name": "x"}
    }


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("stepz=3", ["stepz", "'steps'"]),
        ("std=3", ["std", "'group.noise.std'"]),
        ("group.nois.std=3", ["group.nois.std", "'group.noise.std'"]),
        ("steps=many", ["steps", "many", "whole number"]),
        ("steps=2.5", ["steps", "whole number"]),
        ("steps=0", ["steps", "at least 1"]),
        ("rate.x=1", ["rate"]),
        ("rate=fast", ["rate", "number or null"]),
        ("group.kind=forier", ["group.kind", "'fourier'"]),
        ("group=forier", ["group.kind", "'fourier'"]),
        ("group.noise=3", ["group.noise is a group", "group.noise.std"]),
        ("group.noise.shared=maybe", ["true or false"]),
        ("steps", ["steps", "key=value"]),
        ("--steps", ["--steps", "needs a value"]),
        ("--config=nowhere.yaml", ["nowhere.yaml", "no such file"]),
        ("free=${nothing}", ["nothing"]),
    ],
)
def test_a_mistake_is_one_line_that_names_it(argument, words):
    with pytest.raises(VitvisError) as error:
        read(argument)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize("content", ["steps: [", "- 1\n- 2\n", "steps: 1\nsteps: 2\n"])
def test_a_broken_file_is_one_line(content, tmp_path):
    (tmp_path / "a.yaml").write_text(content)
    with pytest.raises(VitvisError, match=r"a\.yaml"):
        read("--config", str(tmp_path / "a.yaml"))


def test_printed_config_loads_again(tmp_path, capsys):
    argv = ["units=blocks.{0,5}.mlp:3,17,head:*", "free=1e-3", "group.blur.std=1e-4", "rate=None", "seeds=1,2"]
    assert TEST.main([*argv, "--print-config"]) == 0
    (tmp_path / "a.yaml").write_text(capsys.readouterr().out)
    assert read("--config", str(tmp_path / "a.yaml")) == read(*argv)


def test_python_mappings_and_instances_are_layers():
    settings = merge(Schema, {"steps": 5, "group": {"kind": "fourier"}}, {"group.noise.std": 1})
    assert settings == read("steps=5", "group.kind=fourier", "group.noise.std=1")
    assert merge(Schema, settings) == settings == merge(Schema, to_container(settings))
    assert to_yaml(settings) == to_yaml(to_container(settings))


def test_help_names_every_setting_with_unit_and_default(capsys):
    assert TEST.main(["--help"]) == 0
    text = capsys.readouterr().out
    for words in (
        "steps",
        "[60 steps; from 1]",
        "group.noise.std",
        "pixel | fourier",
        "off unless asked for",
        "[null]",
    ):
        assert words in text


def test_config_needs_no_torch():
    code = "import sys, vitvis, vitvis.config, vitvis.config.help; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_nearest():
    assert nearest("blcks", ["blocks", "head"]) == "; did you mean 'blocks'?"
    assert nearest("zzz", ["blocks", "head"]) == ""


def test_run_main_turns_errors_into_one_line(capsys):
    def fail(argv):
        raise VitvisError(f"bad\n   {argv[0]}")

    def full(argv):
        raise OSError(28, "No space left on device", "out/images")

    assert run_main(fail, ["key"]) == 2
    assert run_main(full, []) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "vitvis: bad key"
    assert len(lines) == 2 and "out/images" in lines[1] and "no space" in lines[1]
    assert run_main(lambda argv: None, []) == 0
