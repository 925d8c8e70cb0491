"""A short share of the torture scripts; all of it by the commands of docs/reliability.md."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SHARE = {
    "kills": ["fit", "sweep", "count=1"],
    "damage": ["fit", "count=8"],
    "inputs": ["sweep", "atlas", "runs", "count=60"],
    "surroundings": ["left behind"],
}


@pytest.mark.slow
@pytest.mark.parametrize("script", SHARE)
def test_a_share_of_each_script_holds(script: str, root: Path, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    command = [sys.executable, "-m", f"tests.torture.{script}", *SHARE[script], "seed=1", f"work={tmp_path}"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-2000:]}"
    tried, held = done.stdout.splitlines()[-1].split()[-2:]
    assert int(tried) == int(held) > 0
