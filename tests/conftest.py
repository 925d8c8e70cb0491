"""Fixtures of all tests: the shared folder, and a home without network or caches."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

CACHE = pytest.StashKey[TemporaryDirectory]()
ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


def pytest_configure(config: pytest.Config) -> None:
    """Let processes that tests start find this checkout, wherever they run, and workers share the cores."""
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
    if workers > 1:
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    os.environ.setdefault("MPLCONFIGDIR", str(cache / "matplotlib"))  # its list of fonts takes seconds to make
    config.stash[CACHE] = TemporaryDirectory(prefix="vitvis-tests-")
    os.environ["XDG_CACHE_HOME"] = config.stash[CACHE].name  # what this machine remembers is no input of a test


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the caches of this process."""
    config.stash[CACHE].cleanup()


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of real weights and photos beside the repository; skips where it is absent."""
    if not (SHARED / "weights").is_dir():
        pytest.skip("needs ../shared (real weights and photos beside the repository)")
    return SHARED


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium, one for all tests: two drivers in one process get into each other's loop."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("needs a chromium on this machine")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_api.sync_playwright() as driver:
        window = driver.chromium.launch(executable_path=chromium, args=flags)
        yield window
        window.close()


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every test off the network and out of the user's accounts."""
    for name, value in {
        "HF_HUB_OFFLINE": "1",
        "WANDB_MODE": "disabled",
        "WANDB_SILENT": "true",
        "WANDB_ERROR_REPORTING": "false",
    }.items():
        monkeypatch.setenv(name, value)
