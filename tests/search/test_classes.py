"""What a search says about a unit's classes: labels of its strongest images, classes that lose when it is silent."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from tests.search.test_engine import tiny_backbone
from vitvis.backbones import Tap
from vitvis.data.kinds import open_source
from vitvis.search import ablation, engine, read_search
from vitvis.search.reading import SearchRun
from vitvis.search.settings import SearchSettings

UNITS = ["blocks.1.mlp:0-5", "blocks.1.block:3", "blocks.1.q:2"]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[SearchRun, Path]:
    photos = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(1)
    for number in range(30):
        path = photos / ("cat", "dog", "eel")[number % 3] / f"{number:03}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(random.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
    patch = pytest.MonkeyPatch()
    patch.setattr(engine, "load_backbone", lambda *args, **kwargs: tiny_backbone())
    settings: dict[str, Any] = {"k": 4, "labels": 11, "ablate": 3, "sample": 0, "per_decile": 0, "strips": "none"}
    out = tmp_path_factory.mktemp("run") / "search"
    engine.search(SearchSettings(data=f"imagefolder:{photos}", units=UNITS, workers=0, out=str(out), **settings))
    patch.undo()
    return read_search(out), photos


def test_labels_are_those_of_the_strongest_images(found: tuple[SearchRun, Path]) -> None:
    run, photos = found
    source, backbone = open_source(f"imagefolder:{photos}"), tiny_backbone()
    images = torch.stack([backbone.transform()(source.load(index)) for index in range(30)])
    with Tap(backbone, ["blocks.1.mlp"]) as tap:
        scores = tap(images)["blocks.1.mlp"][:, 1:].mean(1)
    for unit in range(6):
        record = run.record(f"blocks.1.mlp:{unit}")
        expected = Counter(int(source.labels[index]) for index in scores[:, unit].argsort(descending=True)[:11])
        assert dict(zip(record["label"], record["label_count"], strict=True)) == expected
        assert record["labelled"] == 11
        assert record["label_count"] == sorted(record["label_count"], reverse=True)
        assert record["label_name"] == [("cat", "dog", "eel")[label] for label in record["label"]]


def test_classes_lose_what_a_plain_hook_takes_from_them(found: tuple[SearchRun, Path]) -> None:
    run, _ = found
    rows = {row["address"]: row for row in pq.read_table(run.path / ablation.FILE).to_pylist()}
    assert set(rows) == {record["address"] for record in run.records}
    backbone = tiny_backbone()
    for unit in range(6):
        record = run.record(f"blocks.1.mlp:{unit}")

        def silence(
            module: Any, args: Any, output: torch.Tensor, unit: int = unit, mean: float = record["mean"]
        ) -> Any:
            changed = output.clone()
            changed[:, 1:, unit] = mean
            return changed

        pictures = [np.array(Image.open(run.thumb(index)).convert("RGB")) for index in record["strongest_index"][:3]]
        images = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
        with torch.no_grad():
            before = backbone(images)
            handle = backbone.model.blocks[1].mlp.act.register_forward_hook(silence)
            after = backbone(images)
            handle.remove()
        drop = (before - before.mean(1, keepdim=True) - after + after.mean(1, keepdim=True)).mean(0)
        row = rows[record["address"]]
        assert row["label"][0] == int(drop.argmax())
        assert all(value > 0 for value in row["drop"])
        np.testing.assert_allclose(row["drop"], drop[row["label"]], atol=2e-5)
