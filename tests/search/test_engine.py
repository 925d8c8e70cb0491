"""Whole searches: equal results however the work is cut, killed or shared; broken images; boxes."""

from __future__ import annotations

import csv
import io
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from vitvis.backbones import Backbone, Tap
from vitvis.config.core import merge
from vitvis.data.kinds import open_source
from vitvis.data.loader import ModelView, make_loader
from vitvis.errors import VitvisError
from vitvis.search import engine, read_search
from vitvis.search.module import ExemplarSearch
from vitvis.search.settings import SearchSettings

IMAGES = 41
LISTS = ("strongest_index", "strongest_token", "weakest_index", "decile_index", "decile", "hist_counts")


def tiny_backbone() -> Backbone:
    from timm.models import VisionTransformer

    torch.manual_seed(0)
    model = VisionTransformer(img_size=32, patch_size=8, embed_dim=24, depth=3, num_heads=2, num_classes=5)
    return Backbone(model, name="tiny", weights="none", weights_id="0" * 12, image_size=(32, 32))


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "load_backbone", lambda *args, **kwargs: tiny_backbone())


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of noise over gradients, one truncated file, one file that is no image."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for number in range(IMAGES):
        pixels = random.integers(0, 90, (40, 36, 3)) + np.linspace(0, 160, 36)[None, :, None] * random.random(3)
        path = folder / ("cat" if number % 2 else "dog") / f"{number:03}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    whole = (folder / "cat" / "003.png").read_bytes()
    (folder / "cat" / "003.png").write_bytes(whole[: len(whole) // 2])
    (folder / "dog" / "004.png").write_text("no image")
    return folder


def _arguments(photos: Path, out: Path, *more: str) -> list[str]:
    return [
        f"data=imagefolder:{photos}", f"out={out}", "units=blocks.{0,2}.mlp:*", "k=5", "sample=20", "per_decile=1",
        "strips=none", "thumbs=none", "workers=0", "trainer.accelerator=cpu", "trainer.progress=none", *more,
    ]  # fmt: skip


def _settings(photos: Path, out: Path, *more: str) -> SearchSettings:
    return merge(SearchSettings, _arguments(photos, out, *more))


def _same(first: Path, second: Path) -> None:
    one, two = read_search(first), read_search(second)
    assert [record["address"] for record in one.records] == [record["address"] for record in two.records]
    for left, right in zip(one.records, two.records, strict=True):
        for name in LISTS:
            assert left[name] == right[name], (left["address"], name)
        for name in ("mean", "std", "positive_share"):
            assert left[name] == pytest.approx(right[name], rel=1e-9)
    for site in one.sites:
        np.testing.assert_allclose(one.maps(site), two.maps(site), atol=2e-3)
    assert (first / "skipped.csv").read_text() == (second / "skipped.csv").read_text()


@pytest.fixture(scope="module")
def reference(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reference") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "load_backbone", lambda *args, **kwargs: tiny_backbone())
        return engine.search(_settings(photos, out, "batch_size=64"))


def test_records_equal_a_slow_search_of_everything(photos: Path, reference: Path) -> None:
    backbone, source = tiny_backbone(), open_source(f"imagefolder:{photos}")
    rows, indices = [], []
    with torch.no_grad(), Tap(backbone, ["blocks.2.mlp"]) as tap:
        for batch in make_loader(source, ModelView(backbone.transform()), batch_size=1):
            if len(batch):
                rows.append(tap(batch.images)["blocks.2.mlp"][0, 1:])  # all patches, without CLS
                indices.append(int(batch.indices[0]))
    patches = torch.stack(rows)
    scores = patches.mean(1)
    run = read_search(reference)
    assert len(indices) == IMAGES - 2
    for unit in (0, 17, 95):
        record = run.record(f"blocks.2.mlp:{unit}")
        own = scores[:, unit].tolist()
        best = sorted(range(len(own)), key=lambda row: (-own[row], indices[row]))
        assert record["strongest_index"] == [indices[row] for row in best[:5]]
        assert record["weakest_index"] == [indices[row] for row in best[::-1][:5]]
        assert record["strongest_activation"] == pytest.approx([own[row] for row in best[:5]], rel=1e-5)
        assert record["strongest_token"] == [int(patches[row, :, unit].argmax()) for row in best[:5]]
        assert record["mean"] == pytest.approx(np.mean(own), rel=1e-5)
        assert record["std"] == pytest.approx(np.std(own), rel=1e-4)
        assert record["positive_share"] == pytest.approx(np.mean(np.array(own) > 0))
        assert sum(record["hist_counts"]) == record["count"] == len(own)
        maps = run.unit_maps(record["address"])
        assert maps is not None and maps.shape == (5, 4, 4) and maps.dtype == np.float16
        np.testing.assert_allclose(maps[0].ravel(), patches[best[0], :, unit], atol=1e-3)


@pytest.mark.parametrize("batch_size", [1, 7])
def test_batch_size_does_not_matter(photos: Path, reference: Path, tmp_path: Path, batch_size: int) -> None:
    _same(engine.search(_settings(photos, tmp_path / "out", f"batch_size={batch_size}")), reference)


def test_killed_search_goes_on_where_it_was(
    photos: Path, reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = _settings(photos, tmp_path / "out", "batch_size=4", "checkpoint_every=8")
    step, seen = ExemplarSearch.predict_step, []

    def dies(self: ExemplarSearch, batch: Any, batch_idx: int) -> int:
        if len(seen) == 5:
            raise KeyboardInterrupt
        seen.append(batch.indices)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(ExemplarSearch, "predict_step", dies)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        engine.search(settings)
    assert not (tmp_path / "out" / "records").exists()  # nothing half-done looks done
    again: list[Any] = []
    monkeypatch.setattr(ExemplarSearch, "predict_step", lambda self, b, i: (again.append(b), step(self, b, i))[1])
    _same(engine.search(settings), reference)
    assert sum(batch.size for batch in again) == IMAGES - 16  # 5 batches of 4 were done, 16 images were safe
    assert not (tmp_path / "out" / "state").exists()


KILLED = """
import os, signal, sys
import torch
from vitvis.search import engine
from vitvis.runs import RunFolder
from tests.search.test_engine import tiny_backbone
from vitvis.config.core import merge
from vitvis.search.settings import SearchSettings

def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)  # no finally, no atexit: as a power cut

saved, save = [], torch.save
def half(packed, file):  # the third checkpoint breaks off in the middle of its bytes
    saved.append(1)
    if len(saved) < 3:
        return save(packed, file)
    file.write(b"half a checkpoint")
    file.flush()
    die()

if sys.argv[1] == "checkpoint":
    torch.save = half
else:
    write = RunFolder.write_shard
    RunFolder.write_shard = lambda self, name, records: (write(self, name, records), die())
engine.load_backbone = lambda *args, **kwargs: tiny_backbone()
engine.search(merge(SearchSettings, sys.argv[2:]))
"""


def test_run_that_is_killed_again_and_again_ends_with_the_same_files(
    root: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while it writes its third checkpoint; started again, killed after the records of one site of two."""
    more = ["batch_size=4", "checkpoint_every=8", "thumbs=strongest", "strips=2"]
    settings = [_arguments(photos, tmp_path / name, *more) for name in ("whole", "killed")]
    whole = engine.search(merge(SearchSettings, settings[0]))
    out = tmp_path / "killed"
    for moment in ("checkpoint", "records"):
        command = [sys.executable, "-c", KILLED, moment, *settings[1]]
        child = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300)
        assert child.returncode == -signal.SIGKILL, child.stderr
        assert not (out / "summary.json").exists() and len(list(out.glob("state/rank-0-of-1.pt"))) == 1
        partial, shards = len(list(out.glob("state/.*.partial"))), len(list(out.glob("records/*.parquet")))
        assert (partial, shards) == ((1, 0) if moment == "checkpoint" else (0, 1))
    seen: list[Any] = []
    step = ExemplarSearch.predict_step
    monkeypatch.setattr(ExemplarSearch, "predict_step", lambda self, b, i: (seen.append(b), step(self, b, i))[1])
    engine.search(merge(SearchSettings, settings[1]))
    assert not seen, "all images were in the last checkpoint"
    one, two = ({path.relative_to(run).as_posix() for path in run.rglob("*")} for run in (whole, out))
    assert one == two and "state" not in one
    same = [
        name
        for name in one
        if (whole / name).is_file() and not name.startswith(("config", "manifest", ".manifest", "summary", "SHA256"))
    ]
    assert len(same) > 10
    for name in same:
        assert (whole / name).read_bytes() == (out / name).read_bytes(), name


def test_broken_images_are_listed_and_not_fatal(reference: Path) -> None:
    rows = list(csv.DictReader(io.StringIO((reference / "skipped.csv").read_text())))
    assert [row["key"] for row in rows] == ["cat/003.png", "dog/004.png"]
    assert json.loads((reference / "summary.json").read_text())["skipped"] == 2
    named = {index for record in read_search(reference).records for index in record["strongest_index"]}
    assert not named & {int(row["index"]) for row in rows}


def test_huge_image_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1500)
    for name, side in (("a", 36), ("b", 45), ("c", 60)):  # 1296 pixels; more than allowed; more than twice that
        Image.new("RGB", (side, side), "red").save(tmp_path / f"{name}.png")
    loader = make_loader(open_source(f"folder:{tmp_path}"), ModelView(tiny_backbone().transform()), batch_size=3)
    batch = next(iter(loader))
    assert [entry.key for entry in batch.entries] == ["a.png"]
    assert [reason.split(":")[0] for _, _, reason in batch.skipped] == ["too large", "too large"]


def test_damaged_part_of_a_parquet_file_is_skipped(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = []
    for number in range(6):
        buffer = io.BytesIO()
        Image.new("RGB", (8, 8), (number * 40, 0, 0)).save(buffer, "PNG")
        rows.append(buffer.getvalue())
    path = tmp_path / "photos.parquet"
    pq.write_table(pa.table({"image": rows}), path, row_group_size=2, compression="zstd")
    column = pq.ParquetFile(path).metadata.row_group(1).column(0)
    start = column.dictionary_page_offset or column.data_page_offset
    data = bytearray(path.read_bytes())
    data[start : start + column.total_compressed_size] = bytes(column.total_compressed_size)
    path.write_bytes(data)
    loader = make_loader(open_source(f"parquet:{path}"), ModelView(tiny_backbone().transform()), batch_size=6)
    batch = next(iter(loader))
    assert batch.indices.tolist() == [0, 1, 4, 5] and batch.size == 6
    assert [key for _, key, _ in batch.skipped] == ["row 2", "row 3"]
    assert all("row group 1 can't be read" in reason for _, _, reason in batch.skipped)


def test_units_that_look_at_background_are_listed(photos: Path, tmp_path: Path) -> None:
    polygons = tmp_path / "polygons"
    polygons.mkdir()
    for number in range(0, IMAGES, 2):  # the left half of every other image
        (polygons / f"{number:03}.txt").write_text("0 0 0 0.5 0 0.5 1 0 1\n")
    out = engine.search(_settings(photos, tmp_path / "out", f"regions=polygons:{polygons}", "batch_size=8"))
    backbone, source = tiny_backbone(), open_source(f"imagefolder:{photos}")
    inside, outside = [], []
    with torch.no_grad(), Tap(backbone, ["blocks.0.mlp"]) as tap:
        for batch in make_loader(source, ModelView(backbone.transform()), batch_size=1):
            if len(batch) and int(Path(batch.entries[0].key).stem) % 2 == 0:
                grid = tap(batch.images)["blocks.0.mlp"][0, 1:].unflatten(0, (4, 4))
                inside.append(grid[:, :2].mean((0, 1)))
                outside.append(grid[:, 2:].mean((0, 1)))
    run = read_search(out)
    for unit in (0, 40):
        record = run.record(f"blocks.0.mlp:{unit}")
        # the mask's border is blurred as the image's pixels are, hence the tolerance
        assert record["inside_mean"] == pytest.approx(float(torch.stack(inside).mean(0)[unit]), abs=0.02)
        assert record["outside_mean"] == pytest.approx(float(torch.stack(outside).mean(0)[unit]), abs=0.02)
    rows = list(csv.DictReader(io.StringIO((out / "background.csv").read_text())))
    contrast = [float(row["contrast"]) for row in rows]
    assert contrast == sorted(contrast, reverse=True) and float(rows[0]["outside_mean"]) > float(rows[0]["inside_mean"])


def test_finished_search_is_not_repeated_and_another_one_is_refused(photos: Path, reference: Path) -> None:
    before = (reference / "summary.json").stat().st_mtime_ns
    engine.search(_settings(photos, reference, "batch_size=64"))
    assert (reference / "summary.json").stat().st_mtime_ns == before
    with pytest.raises(VitvisError, match="holds another run"):
        engine.search(_settings(photos, reference, "k=6"))


@pytest.mark.parametrize(
    "name", ["records/0000-blocks.0.mlp.parquet", "maps/blocks.2.mlp.npy", "skipped.csv", "images.parquet"]
)
def test_what_is_damaged_is_made_again(photos: Path, reference: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    shutil.copytree(reference, out)
    whole = (out / name).read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 1
    (out / name).write_bytes(damaged)
    engine.search(_settings(photos, out, "batch_size=64"))
    assert (out / name).read_bytes() == whole


def test_damaged_pictures_are_drawn_again_and_nothing_else_is_done(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = _settings(photos, tmp_path / "out", "units=blocks.2.mlp:0-3", "thumbs=strongest", "strips=all")
    out = engine.search(settings)
    run = read_search(out)
    thumb, strip = run.thumb(run.records[0]["strongest_index"][0]), out / "strips/blocks.2.mlp/2.png"
    whole = thumb.read_bytes(), strip.read_bytes()
    thumb.write_bytes(whole[0][:100])
    strip.unlink()
    monkeypatch.setattr(ExemplarSearch, "look", lambda self, batch: pytest.fail("searched again"))
    engine.search(settings)
    assert (thumb.read_bytes(), strip.read_bytes()) == whole


def test_views_show_every_unit_that_was_asked_for(photos: Path, tmp_path: Path) -> None:
    more = ["units=blocks.2.mlp:0-3", "thumbs=strongest", "strips=all"]
    out = engine.search(_settings(photos, tmp_path / "out", *more))
    run = read_search(out)
    for record in run.records:
        assert all(run.thumb(index).is_file() for index in record["strongest_index"])
        with Image.open(out / "strips" / "blocks.2.mlp" / f"{record['unit']}.png") as strip:
            assert strip.width > strip.height and len(set(strip.convert("L").tobytes())) > 50
    assert (out / "sheets" / "blocks.2.mlp.png").is_file()
    assert run.images[run.records[0]["strongest_index"][0]]["label_name"] in ("cat", "dog")


@pytest.mark.parametrize(
    ("data", "says"),
    [("", "give data=KIND:PATH, one of imagefolder"), ("folder:nowhere", "no such folder"),
     ("foldr:x", "did you mean 'folder'"), ("parquet:none.parquet", "no such file")],
)  # fmt: skip
def test_missing_data_is_one_line_that_says_what_to_give(data: str, says: str) -> None:
    with pytest.raises(VitvisError, match=says) as error:
        open_source(data)
    assert "\n" not in str(error.value)
