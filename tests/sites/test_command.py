"""`python -m vitvis.sites`: what it prints, and that it needs no weights and no network."""

from __future__ import annotations

import csv
import io
import json
import socket
import subprocess
import sys
from typing import Any

import pytest

from vitvis.errors import run_main
from vitvis.sites import main


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main(main, ["model=vit_tiny_patch16_224", "kinds=mlp,head"]) == 0
    printed = capsys.readouterr().out
    assert "blocks.11.mlp" in printed and "14x14" in printed and "blocks.0.q" not in printed
    assert f"13 sites, {12 * 768 + 1000:,} units" in printed


def test_nothing_is_cut_off_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A pipe has 80 columns by convention; a name with an ellipsis in it can't be pasted into `units=`."""
    assert run_main(main, ["model=swin_tiny_patch4_window7_224", "units=layers.*.blocks.*.mlp_pre:0-3"]) == 0
    printed = capsys.readouterr().out
    assert "layers.3.blocks.1.mlp_pre" in printed and "56x56" in printed and "…" not in printed


def test_json_and_csv_hold_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main(main, ["model=resnet18", "image_size=64", "format=json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert run_main(main, ["model=resnet18", "image_size=64", "format=csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["site"] for row in rows] == [row["site"] for row in content["sites"]]
    assert content["units"] == sum(int(row["width"]) for row in rows) == 2 * (64 + 128 + 256 + 512) + 1000
    assert content["sites"][0] | {"site": "layer1.0.block", "grid": "16x16", "layout": "NCHW"} == content["sites"][0]


def test_modules_and_units(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main(main, ["model=resnet18", "image_size=64", "kinds=module", "format=csv"]) == 0
    assert "layer1.0.act1,module,0,64" in capsys.readouterr().out
    assert run_main(main, ["model=resnet18", "image_size=64", "units=layer{1,2}.*.block:~4", "format=json"]) == 0
    assert json.loads(capsys.readouterr().out)["units"] == 16


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["model=resnt18"], "did you mean 'resnet18'?"),
        (["model=resnet18", "kinds=mpl"], "did you mean 'mlp'?"),
        (["model=resnet18", "kind=mlp"], "kinds"),
        (["model=resnet18", "units=layer1.0.blok:0"], "did you mean 'layer1.0.block'?"),
    ],
)
def test_mistakes(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main(main, arguments) == 2
    captured = capsys.readouterr()
    assert says in captured.err and captured.err.count("\n") == 1 and captured.out == ""


def test_help_needs_no_torch() -> None:
    code = "import sys, vitvis.sites, vitvis.backbones\nvitvis.sites.COMMAND.main(['--help'])\n"
    done = subprocess.run(
        [sys.executable, "-c", code + "assert 'torch' not in sys.modules"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Only these kinds" in done.stdout
