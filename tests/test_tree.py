"""What lies at the top of the repository: what a stranger is meant to find there, and nothing that a trial has left."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

TOP = {
    ".ci", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "benchmarks", "configs", "docs",
    "pyproject.toml", "sweeps", "tests", "vitvis",
}  # fmt: skip


def test_the_top_of_the_tree_holds_what_it_is_meant_to(root: Path) -> None:
    if shutil.which("git") is None or not (root / ".git").exists():
        pytest.skip("needs a git checkout")
    files = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True).stdout
    assert {file.partition("/")[0] for file in files.split("\0") if file} == TOP
