"""Tiny runs of the bundled models on made photos: pictures that are hardly optimised, a search, and a Chromium."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

UNITS = ["blocks.3.mlp:0-9", "head:0-9"]


def make_photos(folder: Path, count: int = 60) -> Path:
    """Blobs, stripes and gradients of all colours, so that units have something to prefer."""
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    y, x = np.mgrid[0:64, 0:64] / 64
    for place in range(count):
        wave = np.sin(2 * np.pi * (draw.uniform(1, 12) * x + draw.uniform(1, 12) * y))
        blob = np.exp(-((x - draw.random()) ** 2 + (y - draw.random()) ** 2) / 0.05)
        planes = [draw.random() * wave + draw.random() * 2 * blob + draw.random() * x for _ in range(3)]
        pixels = np.stack(planes, -1) + 0.1 * draw.normal(size=(64, 64, 3))
        low, high = pixels.min(), pixels.max()
        Image.fromarray(((pixels - low) / (high - low) * 255).astype(np.uint8)).save(folder / f"{place:03d}.png")
    return folder


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp("judge") / "photos")


@pytest.fixture(scope="session")
def made(photos: Path) -> Path:
    """A folder with `fit` (two seeds), `other` (another recipe) and `search`, all of a few units of the ViT."""
    import vitvis.fit
    import vitvis.search

    torch.set_num_threads(1)
    folder = photos.parent
    common = {"steps": 3, "copies": 1, "logger.kind": ["none"], "trainer.progress": "none"}
    units = ["blocks.3.mlp:0-1", "head:0-3"]
    vitvis.fit.run(common, units=units, seeds=[0, 1], out=str(folder / "fit"))
    vitvis.fit.run(common, units=units, **{"image.decay": 2.0}, out=str(folder / "other"))
    vitvis.search.run(data=f"folder:{photos}", units=UNITS, k=8, sample=60, per_decile=1, strips="none",
                      out=str(folder / "search"), trainer={"progress": "none"})  # fmt: skip
    return folder


@pytest.fixture
def fit(made: Path, tmp_path: Path) -> Path:
    """A copy of the run that a test may write to."""
    return Path(shutil.copytree(made / "fit", tmp_path / "fit"))


@pytest.fixture
def search(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / "search", tmp_path / "search"))
