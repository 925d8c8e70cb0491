"""Data that timm's dataset factory reads: Hugging Face datasets, WebDataset shards, TensorFlow datasets, tar files.

timm's readers open the data; samples are then taken undecoded where the library allows it, so that a broken image
is listed and not dropped in silence, and so that a rank does not decode what another one will.
"""

from __future__ import annotations

import importlib.util
import itertools
import logging
import operator
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from vitvis.data.pictures import as_image, from_hub
from vitvis.data.shards import check_split, is_remote, shard_samples, shard_url
from vitvis.data.sources import BrokenImage, Item, Source
from vitvis.errors import VitvisError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["TimmMap", "TimmStream", "open_timm"]

Load = Callable[[], "Image"]
#: What reads a kind of data: the module, and the package that brings it.
_LIBRARIES = {
    "wds": ("webdataset", "webdataset"),
    "hfds": ("datasets", "datasets"),
    "hfids": ("datasets", "datasets"),
    "tfds": ("tensorflow_datasets", "tensorflow tensorflow-datasets"),
}


class TimmMap(Source):
    """Data of timm's factory that takes any index: `hfds/`, `torch/`, `tar/`."""

    def __init__(self, dataset: Any, *, spec: str, class_names: dict[str, str]) -> None:
        self.spec, self.dataset, self.class_names = spec, dataset, class_names
        self.reader = getattr(dataset, "reader", dataset)
        self.length = len(self.reader)
        self.class_names = class_names or _class_names(self.reader)
        self._last: tuple[int, Any] | None = None

    def item(self, index: int) -> Item:  # noqa: D102
        key, label = self._describe(index)
        number = _number(label)
        return Item(index, key or f"row {index}", number, self.class_names.get(str(number)))

    def load(self, index: int) -> Image:  # noqa: D102
        if hasattr(self.reader, "image_key"):
            return as_image(self._row(index)[self.reader.image_key])
        try:
            image = self.reader[index][0]
        except Exception as error:  # whatever the library raises for a broken row
            raise BrokenImage(f"can't be read: {type(error).__name__} {error}") from None
        return as_image(image)

    def _describe(self, index: int) -> tuple[str, Any]:
        """Return an image's name and label, without decoding it if that can be helped."""
        if hasattr(self.reader, "image_key"):  # Hugging Face datasets
            row = self._row(index)
            return _name(row[self.reader.image_key], self.spec), row.get(self.reader.label_key)
        samples = getattr(self.reader, "samples", None)  # of tar files and folders
        targets = getattr(self.reader, "targets", None)  # of tar files and most of torchvision
        name = samples[index][0] if samples is not None else ""
        label = targets[index] if targets is not None else samples[index][1] if samples is not None else None
        return _name({"path": str(getattr(name, "name", name))}, self.spec), label

    def _row(self, index: int) -> Mapping[str, Any]:
        if self._last is None or self._last[0] != index:
            try:
                self._last = index, self.reader.dataset[index]
            except Exception as error:
                raise BrokenImage(f"can't be read: {type(error).__name__} {error}") from None
        return self._last[1]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_last": None}


class TimmStream(Source):
    """A stream of timm's factory: `wds/`, `hfids/`, `tfds/`. The dataset index is the place in the stream."""

    random_access = False

    def __init__(
        self, dataset: Any, *, spec: str, class_names: dict[str, str], limit: int | None, known: bool = True
    ) -> None:
        self.spec, self.reader, self.class_names, self.limit = spec, dataset.reader, class_names, limit
        # the ranks share the stream here, by dataset index, and not in timm, whose shares depend on their number
        for name, value in (("dist_rank", 0), ("dist_num_replicas", 1), ("global_num_workers", 1), ("num_workers", 1)):
            if hasattr(self.reader, name):
                setattr(self.reader, name, value)
        self.length = (int(getattr(self.reader, "num_samples", 0) or 0) or None) if known else None
        self.class_names = class_names or _class_names(self.reader)

    def item(self, index: int) -> Item:  # noqa: D102
        raise VitvisError(f"data={self.spec}: is a stream and can't be read at any index")

    def load(self, index: int) -> Image:  # noqa: D102
        raise VitvisError(f"data={self.spec}: is a stream and can't be read at any index")

    def stream(self, rank: int = 0, world: int = 1) -> Iterator[tuple[Item, Load]]:
        """Yield one rank's share of the images, in order of their dataset indices, each with what decodes it.

        Raises:
            VitvisError: the stream broke off, and what it would have held can't be known.
        """
        shards = range(rank, len(self._lengths()), world) if self._sharded(world) else None
        try:
            for index, key, label, load in self._samples(shards):
                if self.limit is not None and index >= self.limit:
                    return
                if shards is None and index % world != rank:
                    continue
                number = _number(label)
                yield Item(index, key or f"sample {index}", number, self.class_names.get(str(number))), load
        except (VitvisError, GeneratorExit):
            raise
        except Exception as error:  # whatever the library below raises: network, codecs, archives
            text = " ".join(str(error).split())[:300] or type(error).__name__
            raise VitvisError(
                f"data={self.spec}: broke off ({text}); give the same command again to go on from the last checkpoint"
            ) from None

    def _lengths(self) -> tuple[int, ...]:
        """Return the samples of each shard, where an `_info.json` tells them all."""
        split = getattr(self.reader, "split_info", None)
        lengths = tuple(getattr(split, "shard_lengths", ()))
        return lengths if len(lengths) == len(getattr(split, "filenames", ())) else ()

    def _sharded(self, world: int) -> bool:
        """Say whether whole shards can be shared out: their lengths are known, and there is one for each rank."""
        return world > 1 and len(self._lengths()) >= world

    def _samples(self, shards: range | None) -> Iterator[tuple[int, str, Any, Load]]:
        """Yield dataset index, key, label and what decodes the image, of some shards or of all."""
        if type(self.reader).__name__ == "ReaderWds":
            yield from self._webdataset(shards)
        elif type(self.reader).__name__ == "ReaderHfids":
            yield from self._hugging_face()
        else:
            for index, (image, label) in enumerate(self.reader):
                yield index, "", label, partial(as_image, image)

    def _webdataset(self, shards: range | None) -> Iterator[tuple[int, str, Any, Load]]:
        names, lengths = list(self.reader.split_info.filenames), self._lengths()
        firsts = [0, *itertools.accumulate(lengths)] if lengths else []
        index = 0
        for number in shards if shards is not None else range(len(names)):
            index = firsts[number] if lengths else index
            for key, label, load in shard_samples(shard_url(self.reader.root, names[number]), self.spec):
                if lengths and index >= firsts[number + 1]:
                    raise VitvisError(
                        f"data={self.spec}: {names[number]} holds more than the {lengths[number]} images that "
                        "_info.json gives it; correct shard_lengths there"
                    )
                yield index, key, label, load
                index += 1

    def _hugging_face(self) -> Iterator[tuple[int, str, Any, Load]]:
        import datasets

        stream = self.reader.builder.as_streaming_dataset(split=self.reader.split)
        stream = stream.cast_column(self.reader.input_key, datasets.Image(decode=False))
        for index, row in enumerate(stream):
            image = row[self.reader.input_key]
            yield index, _name(image, self.spec), row.get(self.reader.target_key), partial(from_hub, image)


def _number(label: Any) -> int | None:
    """Read a class: an integer of any library, or its digits; None for everything else, and below 0."""
    try:
        number = int(label) if isinstance(label, str) else operator.index(label)
    except (TypeError, ValueError):
        return None
    return number if number >= 0 else None


def _class_names(reader: Any) -> dict[str, str]:
    classes = getattr(reader, "class_to_idx", None) or getattr(reader, "class_name_to_idx", None)
    return {str(label): str(name) for name, label in classes.items()} if isinstance(classes, dict) else {}


def _name(image: Any, spec: str) -> str:
    """Return the path of an image within the data, where there is one."""
    path = image.get("path") if isinstance(image, Mapping) else None
    if not path:
        return ""
    root = spec.partition("/")[2].rpartition(":")[2]
    return os.path.relpath(path, root) if os.path.isabs(str(path)) and str(path).startswith(root) else str(path)


def open_timm(spec: str, *, split: str, class_names: dict[str, str], limit: int | None = None) -> Source:
    """Open data by a name of timm's dataset factory; what follows `wds/` and `tar/` is a path.

    Raises:
        VitvisError: the library is not installed, or the data can't be opened; in one line.
    """
    prefix, _, rest = spec.partition("/")
    prefix = prefix.lower()
    module, packages = _LIBRARIES.get(prefix, ("timm", "timm"))
    if importlib.util.find_spec(module) is None:
        raise VitvisError(f"data={spec}: needs a library that isn't installed; pip install {packages}")
    logger = logging.getLogger("timm.data.readers")
    level = logger.level
    logger.setLevel(logging.ERROR)  # a missing _info.json is ordinary
    try:
        return _open(prefix, rest, spec=spec, split=split, class_names=class_names, limit=limit)
    except VitvisError:
        raise
    except ImportError as error:
        raise VitvisError(f"data={spec}: needs a library that isn't installed ({error}); pip install it") from None
    except Exception as error:  # the readers raise whatever the library below them raises
        text = " ".join(str(error).split()) or type(error).__name__
        raise VitvisError(f"data={spec} split={split}: can't be opened ({text[:300]})") from None
    finally:
        logger.setLevel(level)


def _open(prefix: str, rest: str, *, spec: str, split: str, class_names: dict[str, str], limit: int | None) -> Source:
    from timm.data import create_dataset

    if prefix == "wds":
        check_split(rest, split, spec)
        dataset = create_dataset("wds/", root=rest, split=split, is_training=False)
        for name in dataset.reader.split_info.filenames:
            if not is_remote(shard_url(rest, name)) and not os.path.isfile(shard_url(rest, name)):
                raise VitvisError(f"data={spec} split={split}: no such shard: {shard_url(rest, name)}")
        return TimmStream(dataset, spec=spec, class_names=class_names, limit=limit)
    if prefix == "hfids":
        known = True
        try:
            dataset = create_dataset(f"hfids/{rest}", split=split, is_training=False)
        except ValueError as error:
            if "length is unknown" not in str(error):
                raise
            known = False
            dataset = create_dataset(f"hfids/{rest}", split=split, is_training=False, num_samples=1)
        stream = dataset.reader.builder.as_streaming_dataset(split=split)  # raises now where there is no such split
        label = (stream.features or {}).get(dataset.reader.target_key)
        class_names = class_names or {
            str(place): name for place, name in enumerate(getattr(label, "names", None) or ())
        }
        return TimmStream(dataset, spec=spec, class_names=class_names, limit=limit, known=known)
    if prefix == "tfds":
        dataset = create_dataset(f"tfds/{rest}", split=split, is_training=False)
        return TimmStream(dataset, spec=spec, class_names=class_names, limit=limit)
    if prefix == "tar":
        if not os.path.isfile(rest):
            raise VitvisError(f"data={spec}: no such file: {rest}")
        dataset = create_dataset("", root=rest, split=split, search_split=False)
        dataset.reader.cache_tarfiles = False  # an open file that worker processes share has one place for all of them
    elif prefix == "torch":
        name, colon, root = rest.partition(":")
        if not colon:
            raise VitvisError(f"data={spec}: say where it lies: data=torch/{name}:FOLDER")
        dataset = create_dataset(f"torch/{name}", root=root, split=split)
    else:
        dataset = create_dataset(f"{prefix}/{rest}", split=split)
    return TimmMap(dataset, spec=spec, class_names=class_names)
