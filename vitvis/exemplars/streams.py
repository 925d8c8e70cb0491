"""Data that timm's dataset factory reads: Hugging Face datasets, WebDataset shards, TensorFlow datasets, tar files.

timm's readers open the data; samples are then taken undecoded where the library allows it, so that a broken image
is listed and not dropped in silence, and so that a rank does not decode what another one will.
"""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from vitvis.errors import VitvisError
from vitvis.exemplars.sources import BrokenImage, Item, Source, decode

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["TimmMap", "TimmStream", "open_timm"]

_IMAGE_KEYS = ("jpg", "jpeg", "png", "webp", "JPEG", "img", "image")


class TimmMap(Source):
    """Data of timm's factory that takes any index: `hfds/`, `torch/`, `tar/`."""

    def __init__(self, dataset: Any, *, spec: str, class_names: dict[str, str]) -> None:
        self.spec, self.dataset, self.class_names = spec, dataset, class_names
        self.reader = getattr(dataset, "reader", dataset)
        self.length = len(self.reader)
        if not class_names and hasattr(self.reader, "class_to_idx"):
            self.class_names = {str(label): str(name) for name, label in (self.reader.class_to_idx or {}).items()}

    def item(self, index: int) -> Item:  # noqa: D102
        try:
            key = str(self.dataset.filename(index))
        except Exception:  # readers without names raise AssertionError, TypeError, KeyError ...
            key = f"row {index}"
        label = self._label(index)
        return Item(index, key, label, self.class_names.get(str(label)))

    def _label(self, index: int) -> int | None:
        samples = getattr(self.reader, "samples", None)  # tar and folder readers: no need to read the image
        if samples is None:
            table = getattr(self.reader, "dataset", None)
            try:
                samples = None if table is None else [(None, table[index][self.reader.label_key])]
                label = samples[0][1] if samples else self.reader[index][1]
            except Exception:  # a label that isn't there is no reason to lose the image
                return None
        else:
            label = samples[index][1]
        return int(label) if isinstance(label, int) and label >= 0 else None

    def load(self, index: int) -> Image:  # noqa: D102
        try:
            image = self.reader[index][0]
        except Exception as error:  # whatever the library raises for a broken row
            raise BrokenImage(f"can't be read: {type(error).__name__} {error}") from None
        return _as_image(image)


class TimmStream(Source):
    """A stream of timm's factory: `wds/`, `hfids/`, `tfds/`. The dataset index is the place in the stream."""

    random_access = False

    def __init__(self, dataset: Any, *, spec: str, class_names: dict[str, str], limit: int | None) -> None:
        self.spec, self.reader, self.class_names, self.limit = spec, dataset.reader, class_names, limit
        # the ranks share the stream here, by dataset index, and not in timm, whose shares depend on their number
        for name, value in (("dist_rank", 0), ("dist_num_replicas", 1), ("global_num_workers", 1), ("num_workers", 1)):
            if hasattr(self.reader, name):
                setattr(self.reader, name, value)
        known = int(getattr(self.reader, "num_samples", 0) or 0)
        self.length = known or None

    def item(self, index: int) -> Item:  # noqa: D102
        raise VitvisError(f"data={self.spec}: is a stream and can't be read at any index")

    def load(self, index: int) -> Image:  # noqa: D102
        raise VitvisError(f"data={self.spec}: is a stream and can't be read at any index")

    def stream(self, rank: int = 0, world: int = 1) -> Iterator[tuple[Item, Callable[[], Image]]]:  # noqa: D102
        samples = self._shards(rank, world) if self._sharded(world) else self._strided(rank, world)
        for index, key, label, load in samples:
            if self.limit is not None and index >= self.limit:
                if self._sharded(world):
                    continue
                return
            label = int(label) if isinstance(label, int) or hasattr(label, "__int__") else None
            yield Item(index, key or f"sample {index}", label, self.class_names.get(str(label))), load

    def _sharded(self, world: int) -> bool:
        """Say whether whole shards can be shared out: their lengths are known, and there is one for each rank."""
        split = getattr(self.reader, "split_info", None)
        lengths = getattr(split, "shard_lengths", ())
        return world > 1 and len(lengths) == len(getattr(split, "filenames", ())) >= world

    def _strided(self, rank: int, world: int) -> Iterator[tuple[int, str, Any, Callable[[], Image]]]:
        for index, sample in enumerate(self._samples(None)):
            if index % world == rank:
                yield index, *sample

    def _shards(self, rank: int, world: int) -> Iterator[tuple[int, str, Any, Callable[[], Image]]]:
        split = self.reader.split_info
        firsts = [0, *itertools.accumulate(split.shard_lengths)]
        for number in range(rank, len(split.filenames), world):
            for place, sample in enumerate(self._samples(split.filenames[number])):
                yield firsts[number] + place, *sample

    def _samples(self, shard: str | None) -> Iterator[tuple[str, Any, Callable[[], Image]]]:
        if hasattr(self.reader, "split_info"):  # WebDataset
            yield from self._webdataset(shard)
        elif hasattr(self.reader, "builder") and type(self.reader).__name__ == "ReaderHfids":
            yield from self._hugging_face()
        else:
            for image, label in self.reader:
                yield "", label, partial(_as_image, image)

    def _webdataset(self, shard: str | None) -> Iterator[tuple[str, Any, Callable[[], Image]]]:
        import webdataset as wds

        names = [shard] if shard is not None else list(self.reader.split_info.filenames)
        urls = [name if "://" in name or ":" in name else os.path.join(self.reader.root, name) for name in names]
        for sample in wds.DataPipeline(wds.SimpleShardList(urls), wds.tarfile_to_samples()):
            data = next((sample[key] for key in _IMAGE_KEYS if key in sample), None)
            try:
                label: Any = int(sample["cls"])
            except (KeyError, ValueError):
                label = None
            yield str(sample.get("__key__", "")), label, partial(_decode_bytes, data)

    def _hugging_face(self) -> Iterator[tuple[str, Any, Callable[[], Image]]]:
        import datasets

        stream = self.reader.builder.as_streaming_dataset(split=self.reader.split)
        stream = stream.cast_column(self.reader.input_key, datasets.Image(decode=False))
        for row in stream:
            image = row[self.reader.input_key]
            yield str(image.get("path") or ""), row.get(self.reader.target_key), partial(_decode_bytes, image["bytes"])


def _decode_bytes(data: bytes | None) -> Image:
    if not data:
        raise BrokenImage("sample without an image")
    return decode(data)


def _as_image(value: Any) -> Image:
    """Turn what a reader gives (open file, bytes, picture) into an RGB picture."""
    from PIL import Image

    if isinstance(value, Image.Image):
        try:
            return value.convert("RGB")
        except Exception as error:  # a lazy picture breaks here
            raise BrokenImage(f"can't be decoded: {error}") from None
    if hasattr(value, "read"):
        with value if hasattr(value, "__enter__") else io.BytesIO(value.read()) as file:
            return decode(file.read())
    return decode(bytes(value))


def open_timm(spec: str, *, split: str, class_names: dict[str, str], limit: int | None = None) -> Source:
    """Open data by a name of timm's dataset factory; what follows `wds/` and `tar/` is a path.

    Raises:
        VitvisError: the library is not installed, or the data can't be opened; in one line.
    """
    from timm.data import create_dataset

    prefix, _, rest = spec.partition("/")
    prefix = prefix.lower()
    try:
        if prefix == "wds":
            dataset = create_dataset("wds/", root=rest, split=split, is_training=False)
        elif prefix == "tar":
            dataset = create_dataset("", root=rest, split=split, search_split=False)
        elif prefix in ("hfids", "tfds"):
            dataset = create_dataset(f"{prefix}/{rest}", split=split, is_training=False, num_samples=limit)
        else:
            dataset = create_dataset(f"{prefix}/{rest}", split=split)
    except ImportError as error:
        raise VitvisError(f"data={spec}: needs a library that isn't installed ({error}); pip install it") from None
    except Exception as error:  # the readers raise whatever the library below them raises
        text = " ".join(str(error).split()) or type(error).__name__
        hint = "; pip install webdataset" if "webdataset" in text else ""
        raise VitvisError(f"data={spec} split={split}: can't be opened ({text[:300]}){hint}") from None
    if prefix in ("wds", "hfids", "tfds"):
        return TimmStream(dataset, spec=spec, class_names=class_names, limit=limit)
    return TimmMap(dataset, spec=spec, class_names=class_names)
