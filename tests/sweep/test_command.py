"""The runner starts the very words that a W&B agent would start."""

import json

import pytest

from vitvis.sweep.command import MACROS, assemble, expand
from vitvis.sweep.parameters import read_parameters

utils = pytest.importorskip("wandb.sdk.launch.sweeps.utils")

ARGUMENTS = {"steps": 7, "optim.lr": 1e-5, "augment.jitter": None, "x.on": True, "x.off": False,
             "units": ["a:0", "b:1,2"], "image": {"kind": "fourier", "decay": 1.0}}  # fmt: skip


def wandb_words(command, arguments, json_file):
    """`Agent._command_run` of wandb_agent.py, without the process."""
    made = utils.create_sweep_command_args({"args": {key: {"value": value} for key, value in arguments.items()}})
    made |= {"interpreter": ["python"], "program": ["p.py"], "args_json_file": [str(json_file)]}
    made["env"] = ["/usr/bin/env"]
    words = []
    for word in utils.create_sweep_command(list(command)):
        words += made.get(word[2:-1]) or [] if word.startswith("${") and word.endswith("}") else [word]
    return words


@pytest.mark.parametrize("macro", MACROS)
def test_words_are_those_of_the_wandb_agent(macro, tmp_path, monkeypatch):
    monkeypatch.setenv("TEST_WORD", "hello")
    command = ["${env}", "${interpreter}", "-m", "${program}", "x=${envvar:TEST_WORD}/${envvar:NOT_THERE}",
               "out=${oc.env:WANDB_RUN_ID}", "${unknown}", f"${{{macro}}}"]  # fmt: skip
    json_file = tmp_path / "a" / "c.json"
    words = expand(command, ARGUMENTS, program="p.py", json_file=json_file, interpreter="python")
    assert words == wandb_words(command, ARGUMENTS, json_file)
    if macro == "args_json_file":
        assert json.loads(json_file.read_text()) == ARGUMENTS


def test_nested_parameters_become_one_mapping():
    block = {
        "g": {"parameters": {"a": {"values": [1, 2]}, "h": {"parameters": {"b": {"value": 3}}}}},
        "c": {"value": 4},
    }
    parameters = read_parameters(block, "s.yaml")
    assert assemble({"g.a": 2, "g.h.b": 3, "c": 4}, parameters) == {"g": {"a": 2, "h": {"b": 3}}, "c": 4}
