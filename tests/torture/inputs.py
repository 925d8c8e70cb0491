"""Give commands what nobody should: numbers without end, words for numbers, text without end, paths that are none.

    python -m tests.torture.inputs [fit] [search] [evaluate] [sweep] [atlas] ... [count=300] [seed=0] [work=FOLDER]

Two parts. Every number of every command is given infinities, NaN, words, lists and digits without end: the settings
have to refuse each in one line, before anything is loaded. And whole command lines that people wrote, or could: each
has to end with status 2, one line, and nothing written.
"""

from __future__ import annotations

import os
import random
import sys
import types
import typing
from dataclasses import Field
from pathlib import Path
from typing import Any

import yaml

from tests.torture import runs
from vitvis.cli import COMMANDS, find_command
from vitvis.config import ready
from vitvis.config.core import iterate_settings
from vitvis.errors import VitvisError

__all__ = ["LINES", "NUMBERS", "main", "numbers_of"]

#: None of these is a number that any setting takes.
NUMBERS = (
    "inf",
    "-inf",
    "nan",
    "1e999",
    "word",
    "[]",
    "{}",
    "[1,[2]]",
    "9" * 30,
    "-" + "9" * 30,
    "1" * 5000,
    "0x",
    "1,2",
)
#: Command lines by command; WORK stands for a folder with what `_write_files` leaves there.
LINES: dict[str, list[str]] = yaml.safe_load(Path(__file__).with_name("lines.yaml").read_text())
_MODELS = """
import torch
def fails(): raise RuntimeError("two\\nlines")
def leaves(): raise SystemExit(0)
def number(): return 3
def wants(something): return something
def empty(): return torch.nn.Identity()
"""
_SWEEP = "program: {program}\nmethod: {method}\nrun_cap: 2\nparameters:\n  a: {parameter}\n{more}"


def numbers_of(name: str) -> list[tuple[str, Field]]:
    """Return the settings of a command that are numbers, or lists of them."""
    found = []
    for setting, item, hint in iterate_settings(find_command(name).settings):
        kinds = _kinds(hint)
        if kinds and kinds <= {int, float, type(None)}:
            found.append((setting, item))
    return found


def _kinds(hint: Any) -> set[Any]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return set().union(*(_kinds(part) for part in typing.get_args(hint)))
    return {hint}


def main() -> int:
    """Run the script; return its exit status."""
    names, count, seed, work = runs.arguments(300)
    runs.prepare(work)
    _write_files(work)
    table = runs.Table()
    for name in [name for name in names or COMMANDS if name in COMMANDS]:
        tries = [(setting, text) for setting, _ in numbers_of(name) for text in NUMBERS]
        for setting, text in random.Random(seed).sample(tries, min(count, len(tries))):
            held, why = _refused(name, f"{setting}={text}")
            table.add(f"{name}, numbers", held, f"{setting}={text[:40]}: {why}")
        takes_out = any(setting == "out" for setting, _, _ in iterate_settings(find_command(name).settings))
        for line in LINES.get(name, []):
            words = [name, *(word.replace("WORK", str(work)) for word in line.split(" ") if word)]
            before = _files(work)
            done = runs.run(words, None if "out=" in line or not takes_out else work / "never", work / "log.txt")
            wrote = _files(work) - before - {"log.txt"}
            said = len([text for text in done.err.splitlines() if text.strip()])
            held = done.is_one_line and said == 1 and not wrote
            table.add(
                f"{name}, lines",
                held,
                f"{line[:90]}: status {done.status}, wrote {sorted(wrote)[:3]}, {done.err[-300:]}",
            )
    return table.print()


def _refused(name: str, word: str) -> tuple[bool, str]:
    try:
        ready(find_command(name).read([word])[0])
    except VitvisError as error:
        return len(str(error)) < 1000, str(error)[:200]
    except BaseException as error:
        return False, f"{type(error).__name__}: {error}"[:200]
    return False, "was taken"


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def _write_files(work: Path) -> None:
    (work / "empty").mkdir()
    (work / "photos").symlink_to(work / "classes")
    (work / "file").write_text("no run, no picture, no table\n")
    (work / "deep.yaml").write_text("[" * 3000)
    names = "abcdefgh"
    laughs = "".join(f"{two}: &{two} [*{one}, *{one}, *{one}]\n" for one, two in zip(names, names[1:], strict=False))
    (work / "laughs.yaml").write_text("a: &a [x, x]\n" + laughs)
    specs = {
        "macro": ("random", "{values: [1, 2]}", "command: [python, '${args_no_hyphen}']\n"),
        "early": ("random", "{values: [1, 2]}", "early_terminate: {type: hyperband, min_iter: two}\n"),
        "infinite": ("random", "{min: 0.0, max: .inf}", ""),
        "endless": ("grid", "{min: 0, max: 999999999999}", ""),
        "command": ("random", "{values: [1, 2]}", "command:\n"),
        "words": ("random", "{values: [1, 2]}", "command: [3, 4]\n"),
        "unclosed": ("random", "{values: [1, 2]}", "command: [python, '${args']\n"),
        "absent": ("random", "{values: [1, 2]}", ""),
        "null": ("random", "{values: null}", ""),
        "metric": ("random", "{values: [1, 2]}", "metric: {name: 3, goal: maximize}\n"),
    }
    (work / "p.py").touch()
    for name, (method, parameter, more) in specs.items():
        program = work / ("none.py" if name == "absent" else "p.py")
        text = _SWEEP.format(program=program, method=method, parameter=parameter, more=more)
        (work / f"{name}.yaml").write_text(text.replace("run_cap: 2\n", "") if name == "endless" else text)
    _write_dictionaries(work)
    _write_models(work)
    for name, text in {
        "list": "[]",
        "null": "null",
        "cut": '{"key": "',
        "deep": "[" * 9999,
        "key": '{"key": 3}',
    }.items():
        (work / f"answers-{name}.json").write_text(text)
    for name, text in {"list": "[]", "null": "null", "number": '{"kind": 3}', "cut": '{"kind": "fit"'}.items():
        (work / f"manifest-{name}").mkdir()
        (work / f"manifest-{name}/manifest.json").write_text(text)
    from vitvis.runs import RunFolder

    with RunFolder.open(work / "run", kind="search", settings={}, identity={}) as folder:
        folder.write_shard("0", [{"address": "a:0", "site": "a"}])


def _write_dictionaries(work: Path) -> None:
    """Write dictionaries for the site of a model 64 wide, each wrong in its own way, and files of no directions."""
    import json

    import numpy as np
    import torch
    from safetensors.torch import save_file

    wrong: dict[str, tuple[dict[str, torch.Tensor], object]] = {
        "wide": ({"W_enc": torch.randn(48, 128)}, {}),
        "nan": ({"b_enc": torch.full((128,), torch.nan)}, {}),
        "inf": ({"W_enc": torch.full((64, 128), torch.inf)}, {}),
        "bias": ({"b_enc": torch.zeros(3)}, {}),
        "shift": ({"shift": torch.zeros(3)}, {}),
        "gate": ({"b_gate": torch.zeros(3)}, {"architecture": "gated"}),
        "threshold": ({"threshold": torch.zeros(3)}, {"architecture": "jumprelu"}),
        "none": ({"W_enc": torch.zeros(64, 0), "b_enc": torch.zeros(0)}, {}),
        "vector": ({"W_enc": torch.zeros(64)}, {}),
        "list": ({}, []),
        "many": ({}, {"architecture": "topk", "k": 999}),
        "half": ({}, {"architecture": "topk", "k": 2.5}),
        "true": ({}, {"architecture": "topk", "k": True}),
        "endless": ({}, {"architecture": "topk", "k": float("inf")}),
        "new": ({}, {"architecture": "topkk"}),
        "scaled": ({}, {"normalize_activations": {"a": 1}}),
        "deep": ({}, None),
        "cut": ({}, {}),
    }
    for name, (tensors, settings) in wrong.items():
        folder = work / f"sae-{name}"
        folder.mkdir()
        whole = {"W_enc": torch.randn(64, 128), "b_enc": torch.zeros(128)} | tensors
        save_file(whole, folder / "sae_weights.safetensors")
        (folder / "cfg.json").write_text("[" * 100_000 if settings is None else json.dumps(settings))
    weights = work / "sae-cut/sae_weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:10_000])
    (work / "sae-empty.pt").touch()
    os.mkfifo(work / "sae-pipe.pt")
    rows = {"zeros": np.zeros((2, 64)), "nans": np.full((2, 64), np.nan), "narrow": np.ones((2, 8)),
            "nothing": np.zeros((0, 64)), "words": np.array([["a"] * 64])}  # fmt: skip
    for name, value in rows.items():
        np.save(work / f"{name}.npy", value)


def _write_models(work: Path) -> None:
    """Write a module of functions that make no models, and folders that hold none of transformers."""
    (work / "torture_models.py").write_text(_MODELS)
    (work / "torture_broken.py").write_text("def (:\n")
    sys.path.insert(0, str(work))  # children are forks of this process
    configs = {
        "cut": '{"model_type": "vi',
        "list": "[]",
        "unknown": '{"model_type": "nosuch"}',
        "text": '{"model_type": "bert"}',
        "own": '{"model_type": "x", "auto_map": {"AutoConfig": "evil.C"}}',
    }
    for name, text in configs.items():
        (work / f"hf-{name}").mkdir()
        (work / f"hf-{name}/config.json").write_text(text)
    (work / "hf-own/evil.py").write_text(f"open({str(work / 'ran')!r}, 'w')\n")


if __name__ == "__main__":
    sys.exit(main())
