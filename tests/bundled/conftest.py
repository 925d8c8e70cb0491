"""A folder of drawn photos in the layout of Tiny-ImageNet."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image


def _encode(photo: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(photo).save(stream, "PNG")
    return stream.getvalue()


def write_photos(file: Path, count: int, seed: int) -> None:
    """Write `count` noise photos of 64 px with labels 0..199 as Parquet."""
    rng = np.random.default_rng(seed)
    photos = rng.integers(0, 256, (count, 64, 64, 3), np.uint8)
    labels = rng.integers(0, 200, count)
    pq.write_table(pa.table({"image": [_encode(photo) for photo in photos], "label": labels}), file)


@pytest.fixture(scope="session")
def photos_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`train-00.parquet` and `train-01.parquet` of 24 photos each, `val.parquet` of 12."""
    folder = tmp_path_factory.mktemp("tiny")
    for index, (name, count) in enumerate([("train-00", 24), ("train-01", 24), ("val", 12)]):
        write_photos(folder / f"{name}.parquet", count, index)
    return folder
