"""A short share of the torture scripts; all of it by the commands of docs/reliability.md."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SHARE = {
    "kills": ["fit", "count=1"],
    "damage": ["fit", "count=3"],
    "inputs": ["sweep", "runs", "count=40"],
    "surroundings": ["left behind"],
    "shards": ["search", "kills=2"],
}
#: One process for all of them, which imports what their children need once.
CODE = """
import importlib, sys
for word in sys.argv[1:]:
    script, *words = word.split("+")
    sys.argv = [script, *words]
    print(script, importlib.import_module(f"tests.torture.{script}").main(), flush=True)
"""


@pytest.mark.slow
def test_a_share_of_each_script_holds(root: Path, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    words = ["+".join([script, *share, "seed=1", f"work={tmp_path / script}"]) for script, share in SHARE.items()]
    done = subprocess.run([sys.executable, "-c", CODE, *words], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-2000:]}"
    lines = done.stdout.splitlines()
    for script in SHARE:
        place = lines.index(f"{script} 0")
        tried, held = lines[place - 1].split()[-2:]
        assert int(tried) == int(held) > 0
