"""What timm's dataset factory reads: WebDataset shards, Hugging Face datasets, tar files. No network."""

from __future__ import annotations

import importlib.util
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.search.test_engine import tiny_backbone
from vitvis.config.core import merge
from vitvis.data.kinds import open_source
from vitvis.data.layouts.timm import TensorFlowStream
from vitvis.data.loader import ModelView, Share, make_loader
from vitvis.data.photo import UnusableImage
from vitvis.data.source import Request, Source
from vitvis.errors import VitvisError
from vitvis.search import engine, read_search
from vitvis.search.settings import SearchSettings

COUNTS = (4, 3, 5)
TOTAL = sum(COUNTS)

needs_webdataset = pytest.mark.skipif(
    importlib.util.find_spec("webdataset") is None, reason="needs webdataset: pip install 'vitvis[data]'"
)
needs_datasets = pytest.mark.skipif(
    importlib.util.find_spec("datasets") is None, reason="needs datasets: pip install 'vitvis[data]'"
)


def _pixels(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 255, (20, 24, 3), dtype=np.uint8)


def _png(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(_pixels(number)).save(buffer, "PNG")
    return buffer.getvalue()


def _tar(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Three shards of 4, 3 and 5 images; image 5 is none."""
    number = 0
    for shard, count in enumerate(COUNTS):
        files: dict[str, bytes] = {}
        for _ in range(count):
            files[f"{number:03}.png"] = b"no image" if number == 5 else _png(number)
            files[f"{number:03}.cls"] = str(number % 2).encode()
            number += 1
        _tar(tmp_path / f"val-{shard:04}.tar", files)
    return tmp_path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five images of two classes as Hugging Face and torchvision want a folder."""
    for number in range(5):
        path = tmp_path / "photos" / "train" / ("cat" if number < 2 else "dog") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_png(number))
    return tmp_path / "photos"


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()


def _small(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.asarray(image.resize((8, 8))).copy()).permute(2, 0, 1) / 255


def _read(
    source: Source, needs: Callable[[int, int], bool] | None = None
) -> dict[int, tuple[str, int | None, int | None]]:
    """Dataset index -> key, label, number of the image whose pixels it shows (None where it is broken)."""
    found: dict[int, tuple[str, int | None, int | None]] = {}
    for item, read in source.stream(needs):
        try:
            pixels = np.asarray(read().image)
            number = next(number for number in range(TOTAL) if np.array_equal(pixels, _pixels(number)))
        except UnusableImage:
            number = None
        assert item.index not in found
        found[item.index] = item.key, item.label, number
    return found


@needs_webdataset
@pytest.mark.parametrize("info", [False, True])
def test_shards_are_read_in_order_and_shared_between_ranks(shards: Path, info: bool) -> None:
    names = [f"val-{number:04}.tar" for number in range(len(COUNTS))]
    split = "val-{0000..0002}.tar"
    if info:
        about = {"name": "val", "num_samples": TOTAL, "filenames": names, "shard_lengths": COUNTS}
        (shards / "_info.json").write_text(json.dumps({"splits": {"val": about}}))
        split = "val"
    source = open_source(f"wds:{shards}", split=split)
    everything = _read(source)
    expected = {n: (f"{n:03}", n % 2, None if n == 5 else n) for n in range(TOTAL)}
    assert everything == expected and source.length == (TOTAL if info else None)
    for world in (2, 3, 4):
        shares = [
            make_loader(source, ModelView(_small), batch_size=2, share=Share(rank, world)) for rank in range(world)
        ]
        taken = sorted((batch.number, batch.indices.tolist()) for share in shares for batch in share)
        assert taken == [(n, [i for i in (2 * n, 2 * n + 1) if i != 5]) for n in range(TOTAL // 2)]
    behind = _read(source, lambda first, stop: stop > 7)  # a shard that nothing is needed of is passed over
    assert list(behind) == (list(range(7, TOTAL)) if info else list(range(TOTAL)))
    assert list(_read(open_source(f"wds:{shards}", split=split, limit=6))) == list(range(6))


@needs_webdataset
@pytest.mark.parametrize("workers", [0, 1])
def test_loader_resumes_in_the_middle_of_a_stream_and_lists_the_broken(shards: Path, workers: int) -> None:
    source, view = open_source(f"wds:{shards}", split="val-{0000..0002}.tar"), ModelView(_small)
    batches = list(make_loader(source, view, batch_size=3, workers=workers, share=Share(1, 2, {1})))
    assert [(batch.number, batch.indices.tolist()) for batch in batches] == [(3, [9, 10, 11])]  # 1 was done before
    batches = list(make_loader(source, view, batch_size=5, workers=workers, share=Share(done={0})))
    assert [skipped for batch in batches for skipped in batch.skipped] == [(5, "005", batches[0].skipped[0][2])]
    assert [batch.size for batch in batches] == [5, 2]


@needs_webdataset
def test_search_of_shards_is_the_search_of_their_files(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "load_backbone", lambda *args, **kwargs: tiny_backbone())
    (tmp_path / "files").mkdir()
    for number in range(TOTAL):
        data = b"no image" if number == 5 else _png(number)
        (tmp_path / "files" / f"{number:03}.png").write_bytes(data)
    runs = []
    for place, data in enumerate((f"wds:{shards}", f"folder:{tmp_path / 'files'}")):
        out = engine.search(merge(SearchSettings, [
            f"data={data}", *([] if place else ["split=val-{0000..0002}.tar"]), "units=blocks.1.mlp:0-7", "k=4",
            "sample=10", "per_decile=1",
            "trainer.accelerator=cpu", "trainer.progress=none", f"workers={1 - place}", "batch_size=5",
            f"out={tmp_path / str(place)}",
        ]))  # fmt: skip
        runs.append(read_search(out))
    stream, files = runs
    for left, right in zip(stream.records, files.records, strict=True):
        for name in ("strongest_index", "weakest_index", "strongest_token", "decile_index", "hist_counts", "count"):
            assert left[name] == right[name], name
    assert np.array_equal(stream.maps("blocks.1.mlp"), files.maps("blocks.1.mlp"))
    assert "005,can't be decoded" in (stream.path / "skipped.csv").read_text()
    assert {f"{row['key']}.png" for row in stream.images.values()} == {row["key"] for row in files.images.values()}
    for path in (stream.path / "strips").rglob("*.png"):  # thumbnails and strips from the second look at the stream
        assert path.read_bytes() == (files.path / path.relative_to(stream.path)).read_bytes()
    assert len(list((stream.path / "strips").rglob("*.png"))) == 8


@needs_webdataset
def test_shard_that_breaks_off_is_listed_and_the_others_are_read(shards: Path) -> None:
    whole = (shards / "val-0000.tar").read_bytes()
    (shards / "val-0000.tar").write_bytes(whole[: len(whole) // 2])
    found = _read(open_source(f"wds:{shards}", split="val-{0000..0002}.tar"))
    broken = [key for key, _, number in found.values() if number is None]
    assert broken == ["val-0000.tar", "005"]
    assert [number for *_, number in found.values() if number is not None][-7:] == [4, 6, 7, 8, 9, 10, 11]


@needs_webdataset
def test_shard_cut_between_two_entries_is_listed_too(shards: Path) -> None:
    path = shards / "val-0000.tar"
    with tarfile.open(path) as tar:
        third = [member.offset for member in tar if member.name == "002.png"][0]
    path.write_bytes(path.read_bytes()[:third])
    found = _read(open_source(f"wds:{shards}", split="val-0000.tar"))
    assert found == {0: ("000", 0, 0), 1: ("001", 1, 1), 2: ("val-0000.tar", None, None)}


@needs_webdataset
def test_wrong_shards_are_one_line(shards: Path) -> None:
    with pytest.raises(VitvisError, match=r"holds no .tar files of that split .there are: val"):
        open_source(f"wds:{shards}", split="test")
    with pytest.raises(VitvisError, match=r"no such shard: .*val-0003.tar"):
        open_source(f"wds:{shards}", split="val-{0000..0003}.tar")
    with pytest.raises(VitvisError, match="no such folder"):
        open_source(f"wds:{shards / 'nowhere'}", split="val")
    about = {"name": "val", "num_samples": 2, "filenames": ["val-0000.tar"], "shard_lengths": [2]}
    (shards / "_info.json").write_text(json.dumps({"splits": {"val": about}}))
    with pytest.raises(VitvisError, match="holds more than the 2 images"):
        _read(open_source(f"wds:{shards}", split="val"))


@needs_datasets
@pytest.mark.usefixtures("hub_cache")
@pytest.mark.parametrize("prefix", ["hfds", "hfids"])
def test_hugging_face_folder_is_read_with_its_classes(folder: Path, prefix: str) -> None:
    (folder / "train" / "dog" / "3.png").write_bytes(_png(3)[:200])
    source = open_source(f"{prefix}:{folder}", split="train")
    found = _read(source)
    labels = {"cat": 0, "dog": 1}
    expected = {
        n: (f"train/{kind}/{n}.png", labels[kind], None if n == 3 else n)
        for n, kind in enumerate(["cat", "cat", "dog", "dog", "dog"])
    }
    assert found == expected and source.random_access == (prefix == "hfds")
    assert [item.label_name for item, _ in source.stream()] == ["cat", "cat", "dog", "dog", "dog"]
    assert source.classes.names == ["cat", "dog"]
    assert open_source(f"{prefix}:{folder}").split == "train", "there is no other"
    with pytest.raises(VitvisError, match="no such split.*there are: train"):
        open_source(f"{prefix}:{folder}", split="validation")


@needs_datasets
@pytest.mark.usefixtures("hub_cache")
def test_hugging_face_bytes_in_parquet_are_read(tmp_path: Path) -> None:
    import datasets

    (tmp_path / "table").mkdir()
    rows = {"image": [{"bytes": _png(n), "path": None} for n in range(3)], "label": [0, 1, 0]}
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    path = tmp_path / "table" / "train-00000-of-00001.parquet"
    datasets.Dataset.from_dict(rows, features=features).to_parquet(path)
    for prefix in ("hfds", "hfids"):
        found = _read(open_source(f"{prefix}:{tmp_path / 'table'}", split="train"))
        assert [value[1:] for value in found.values()] == [(0, 0), (1, 1), (0, 2)]
        assert next(iter(found.values()))[0] in ("row 0", "sample 0")
    own = open_source(f"parquet:{path}")  # without the library
    assert [own.entry(n).label_name for n in range(3)] == ["a", "b", "a"]
    assert [value[1:] for value in _read(own).values()] == [(0, 0), (1, 1), (0, 2)]


def test_tar_file_is_read_at_any_index_by_any_process(tmp_path: Path) -> None:
    _tar(tmp_path / "all.tar", {f"{'cat' if n < 2 else 'dog'}/{n}.png": _png(n) for n in range(5)})
    source = open_source(f"tar:{tmp_path / 'all.tar'}")
    expected = {n: (f"{'cat' if n < 2 else 'dog'}/{n}.png", int(n >= 2), n) for n in range(5)}
    assert _read(source) == expected and source.entry(4).label_name == "dog"
    images = [batch.tensors["images"][0] for batch in make_loader(source, ModelView(_small), batch_size=1, workers=2)]
    assert all(torch.equal(image / 255, _small(Image.fromarray(_pixels(n)))) for n, image in enumerate(images))
    with pytest.raises(VitvisError, match="no such file"):
        open_source(f"tar:{tmp_path / 'other.tar'}")
    (tmp_path / "cut.tar").write_bytes((tmp_path / "all.tar").read_bytes()[:700])
    with pytest.raises(VitvisError, match="can't be opened") as error:
        open_source(f"tar:{tmp_path / 'cut.tar'}")
    assert "\n" not in str(error.value)


def test_torchvision_dataset_is_read(folder: Path) -> None:
    source = open_source(f"torch:image_folder:{folder}", split="train")
    found = _read(source)
    assert [value[1:] for value in found.values()] == [(0, 0), (0, 1), (1, 2), (1, 3), (1, 4)]
    assert source.entry(4).label_name == "dog" and source.entry(4).key.endswith("dog/4.png")
    with pytest.raises(VitvisError, match="say where it lies: data=torch:cifar10:FOLDER"):
        open_source("torch:cifar10")


def test_stream_that_gives_pictures_is_numbered_and_a_failure_is_one_line() -> None:
    """The way of `tfds/`, whose library is too large for a test: a reader that gives pictures and NumPy labels."""

    class Reader:
        num_samples = 6
        dist_rank, dist_num_replicas = 3, 8

        def __iter__(self) -> Iterator[tuple[Image.Image, np.int64]]:
            assert (self.dist_rank, self.dist_num_replicas) == (0, 1), "all of the stream comes to every rank"
            for number in range(4):
                yield Image.fromarray(_pixels(number)), np.int64(number % 2)
            raise OSError("connection\nlost")

    source = TensorFlowStream.__new__(TensorFlowStream)
    Source.__init__(source, Request("tfds", "x"))
    source.take(Reader())
    assert source.length == 6
    source.classes.names = ["none", "one"]
    found = []
    with pytest.raises(VitvisError, match="broke off .connection lost.; give the same command again") as error:
        for item, read in source.stream():
            read()
            found.append((item.index, item.label, item.label_name))
    assert found == [(0, 0, "none"), (1, 1, "one"), (2, 0, "none"), (3, 1, "one")] and "\n" not in str(error.value)


def test_missing_library_is_one_line_that_names_it() -> None:
    if importlib.util.find_spec("tensorflow_datasets") is None:
        with pytest.raises(VitvisError, match="pip install tensorflow"):
            open_source("tfds:mnist")


def test_a_stream_longer_than_it_says_is_read_to_its_end() -> None:
    class Reader:
        num_samples = 2

        def __iter__(self) -> Iterator[tuple[Image.Image, int]]:
            yield from ((Image.fromarray(_pixels(number)), 0) for number in range(5))

    source = TensorFlowStream.__new__(TensorFlowStream)
    Source.__init__(source, Request("tfds", "x"))
    source.take(Reader())
    loaders = [make_loader(source, ModelView(_small), batch_size=2, share=Share(rank, 2)) for rank in (0, 1)]
    assert [[batch.indices.tolist() for batch in loader] for loader in loaders] == [[], [[0, 1], [2, 3], [4]]]
    source.limit = source.length = 3
    (batches,) = [list(make_loader(source, ModelView(_small), batch_size=2))]
    assert [batch.indices.tolist() for batch in batches] == [[0, 1], [2]]
