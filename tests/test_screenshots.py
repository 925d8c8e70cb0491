"""The script of the screenshots: what it would run is understood, and its pictures show their pages."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.atlas import made_runs as made
from vitvis.atlas import write_atlas

FILE = Path(__file__).resolve().parents[1] / "docs" / "screenshots.py"


@pytest.fixture(scope="module")
def script() -> Any:
    spec = importlib.util.spec_from_file_location("screenshots", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_commands_are_understood(script: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert script.main(["--dry-run", "--work", str(tmp_path / "work"), "--images", str(tmp_path / "images")]) == 0
    told = capsys.readouterr().out
    assert [line.split()[1] for line in told.splitlines() if line.startswith("vitvis ")] == [
        "fit", "search", "judge", "atlas"
    ]  # fmt: skip
    assert not list(tmp_path.iterdir())


def test_the_unit_that_is_shown_is_a_clear_one(script: Any) -> None:
    row = {"kind": "mlp", "depth": 6, "status": "ok", "rank": 1, "activation": 2.0, "address": "a"}
    rows = [{**row, "depth": 1, "activation": 9}, {**row, "rank": 2, "activation": 8}, row, {**row, "status": "dead"}]
    assert script.choose(rows) is rows[2]


@pytest.mark.browser
def test_pictures_are_taken(script: Any, browser: Any, tmp_path: Path) -> None:
    run = made.write_fit(tmp_path / "fit", depths=6, units=12, kinds=("mlp",), seeds=(0,), side=32, strips=False)
    done = write_atlas([run], tmp_path / "atlas", eye="vitvis_resnet")
    taken = script.take(browser, done.path, tmp_path / "images", made.BACKBONE, "blocks.5.mlp", "7")
    assert [path.stem for path in taken] == [name for name, *_ in script.SHOTS]
    for path, (_, _, height, _) in zip(taken, script.SHOTS, strict=True):
        with Image.open(path) as image:
            assert image.size == (1400, height)
            assert np.asarray(image.convert("L"), float).std() > 10  # there is something to see
