"""What timm's dataset factory reads for us: TensorFlow datasets (a stream) and torchvision's (at any index)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL.Image import Image

from vitvis.data.classes import Classes
from vitvis.data.decode import as_image
from vitvis.data.layouts.streams import Sample, SampleStream, needs_library, number, one_line
from vitvis.data.photo import UnusableImage
from vitvis.data.source import Request, Source
from vitvis.errors import VitvisError

__all__ = ["TensorFlowStream", "TorchTable"]


class TensorFlowStream(SampleStream):
    """`tfds:NAME`, in the order of its files."""

    def __init__(self, request: Request) -> None:
        super().__init__(request, split=request.split or "validation")
        needs_library("tensorflow_datasets", "tensorflow tensorflow-datasets", request)
        self.take(_create(request, f"tfds/{request.path}", split=self.split, is_training=False).reader)

    def take(self, reader: Any) -> None:
        """Read from a reader of timm, all of it in every process: timm's own shares depend on their number."""
        for name, value in (("dist_rank", 0), ("dist_num_replicas", 1), ("global_num_workers", 1), ("num_workers", 1)):
            if hasattr(reader, name):
                setattr(reader, name, value)
        self._reader = reader
        self.length = int(getattr(reader, "num_samples", 0) or 0) or None
        self.classes = _class_names(reader)

    def samples(self, needs: Callable[[int, int], bool] | None = None) -> Iterator[Sample]:
        """Yield the samples."""
        for index, (image, label) in enumerate(self._reader):
            yield index, "", label, image


class TorchTable(Source):
    """`torch:NAME:FOLDER`, a dataset of torchvision that lies in a folder."""

    def __init__(self, request: Request) -> None:
        super().__init__(request, split=request.split or "validation")
        name, colon, root = request.path.partition(":")
        if not colon or not root:
            raise VitvisError(f"{request.spec}: say where it lies: data=torch:{name}:FOLDER")
        self._data = _create(request, f"torch/{name}", root=os.path.expanduser(root), split=self.split)
        self.length = len(self._data)
        self.classes = _class_names(self._data)
        self._samples = getattr(self._data, "samples", None)  # of folders
        targets = getattr(self._data, "targets", None)  # of most of torchvision
        if targets is None and self._samples is not None:
            targets = [sample[1] for sample in self._samples]
        known = [number(label) for label in targets] if targets is not None else [None] * self.length
        self.labels = np.array([-1 if label is None else label for label in known], np.int64)

    def key(self, index: int) -> str:
        """Return an image's path, where there is one."""
        return str(self._samples[index][0]) if self._samples is not None else f"row {index}"

    def load(self, index: int) -> Image:
        """Decode an image."""
        try:
            image = self._data[index][0]
        except Exception as error:  # whatever the library raises for a broken image
            raise UnusableImage(f"can't be read: {type(error).__name__} {one_line(error)}") from None
        return as_image(image)


def _create(request: Request, name: str, **arguments: Any) -> Any:
    from timm.data import create_dataset

    try:
        return create_dataset(name, **arguments)
    except ImportError as error:
        raise VitvisError(f"{request.spec}: needs a library that isn't installed ({error}); pip install it") from None
    except Exception as error:  # the readers raise whatever the library below them raises
        raise VitvisError(f"{request.spec} split={arguments['split']}: can't be opened ({one_line(error)})") from None


def _class_names(reader: Any) -> Classes:
    index = getattr(reader, "class_to_idx", None) or getattr(reader, "class_name_to_idx", None)
    if not isinstance(index, dict):
        return Classes()
    names = {int(label): str(name) for name, label in index.items()}
    return Classes([names.get(label, str(label)) for label in range(max(names, default=-1) + 1)])
