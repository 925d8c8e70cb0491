"""A command line written by a W&B agent means what the sweep file says, in each of W&B's forms."""

import json

import pytest

from tests.config.test_core import Schema, read
from vitvis.config.core import to_container
from vitvis.errors import VitvisError

utils = pytest.importorskip("wandb.sdk.launch.sweeps.utils")

VALUES = {
    "steps": 7,
    "rate": 1e-4,
    "weights": None,
    "units": ["blocks.0.mlp:3,4", "-head:1"],
    "group.kind": "fourier",
    "group.noise.std": 0.25,
    "group.noise.shared": True,
    "group.blur": None,
}


def expected():
    settings = Schema(weights="none", steps=7, rate=1e-4, units=["blocks.0.mlp:3,4", "-head:1"])
    settings.group.kind, settings.group.noise.std, settings.group.noise.shared = "fourier", 0.25, True
    return to_container(settings)


def macro(name, values, tmp_path):
    made = utils.create_sweep_command_args({"args": {key: {"value": value} for key, value in values.items()}})
    if name == "args_json_file":
        path = tmp_path / "config.json"
        path.write_text(made["args_json"][0])
        return [str(path)]
    return made[name]


FORMS = ["args", "args_no_hyphens", "args_no_equals", "args_no_boolean_flags", "args_append_hydra",
         "args_override_hydra", "args_json", "args_json_file"]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("after", [[], ["seeds=[5]"]])
def test_each_macro_of_wandb_is_read(form, after, tmp_path):
    settings = to_container(read(*macro(form, VALUES, tmp_path), *after))
    assert settings == expected() | {"seeds": [5] if after else [0]}


@pytest.mark.parametrize("form", FORMS)
def test_nested_parameters_arrive_as_one_mapping(form, tmp_path):
    """W&B sends a nested parameter as Python's text of a dict: `--group={'kind': 'fourier', ...}`."""
    nested = {"group": {"kind": "fourier", "noise": {"std": 0.25, "shared": True}, "blur": None}}
    assert read(*macro(form, nested, tmp_path)).group == read(
        "group.kind=fourier", "group.noise.std=0.25", "group.noise.shared=true"
    ).group  # fmt: skip


def test_a_bare_flag_means_true_only_where_true_can_be_meant():
    assert read("--group.noise.shared").group.noise.shared
    assert read("--group.noise.shared", "false").group.noise.shared is False
    assert read("--group.noise.shared", "steps=3").steps == 3
    with pytest.raises(VitvisError, match="--steps needs a value"):
        read("--steps")


def test_later_overrides_win_over_json():
    assert read(json.dumps({"steps": 3}), "steps=4").steps == 4
