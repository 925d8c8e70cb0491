"""Datasets of Hugging Face, by name or from a folder: downloaded (`hfds:`) or streamed (`hfids:`)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL.Image import Image

from vitvis.data.classes import Classes
from vitvis.data.decode import as_image
from vitvis.data.layouts.parquet import LABELS, number_labels
from vitvis.data.layouts.streams import Sample, SampleStream, needs_library, one_line
from vitvis.data.photo import UnusableImage
from vitvis.data.source import Request, Source
from vitvis.errors import VitvisError, nearest

__all__ = ["HubStream", "HubTable"]


class HubTable(Source):
    """A dataset whose rows can be read at any time; it is downloaded once by the library."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        data, self.split = _load(request, streaming=False)
        self._image, label, names = _columns(data.features, request)
        self.length = len(data)
        self.classes, self.labels = Classes(names), np.full(len(data), -1, np.int64)
        if label:
            try:
                self.labels, words = number_labels(data.data.column(label))
            except UnusableImage as reason:
                raise VitvisError(f"{request.spec}: column {label}: {reason}") from None
            count = max(int(self.labels.max(initial=-1)) + 1, len(words or names))
            self.classes = Classes([*(words or names), *(str(number) for number in range(len(words or names), count))])
        else:
            self.unlabelled = f"no column holds classes (there are {', '.join(data.features)})"
        self._data = data
        self._last: tuple[int, Any] | None = None

    def key(self, index: int) -> str:
        """Return the path of an image within the data, where there is one."""
        with contextlib.suppress(UnusableImage):
            return _path(self._row(index), self.request) or f"row {index}"
        return f"row {index}"

    def load(self, index: int) -> Image:
        """Decode a row's image."""
        return as_image(self._row(index))

    def _row(self, index: int) -> Any:
        if self._last is None or self._last[0] != index:
            try:
                self._last = index, self._data[index][self._image]
            except Exception as error:  # whatever the library raises for a broken row
                raise UnusableImage(f"can't be read: {type(error).__name__} {one_line(error)}") from None
        return self._last[1]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_last": None}


class HubStream(SampleStream):
    """The same in order, never downloaded whole."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self._data, self.split = _load(request, streaming=True)
        features = self._data.features or self._data._resolve_features().features
        self._image, self._label, names = _columns(features, request)
        self.classes = Classes(names)
        about = (self._data.info.splits or {}).get(self.split)
        self.length = (about.num_examples or None) if about is not None else None

    def samples(self, needs: Callable[[int, int], bool] | None = None) -> Iterator[Sample]:
        """Yield the rows."""
        for index, row in enumerate(self._data):
            image = row[self._image]
            label = row.get(self._label) if self._label else None
            yield index, _path(image, self.request), label, partial(_fetch, image)


def _load(request: Request, *, streaming: bool) -> tuple[Any, str]:
    """Open a dataset, and choose its split; images stay encoded.

    Raises:
        VitvisError: there is none of that name, or it has no such split.
    """
    needs_library("datasets", "datasets", request)
    import datasets

    path = request.path if "://" in request.path or not request.folder.exists() else str(request.folder)
    _check_there(request, path)
    try:
        splits = datasets.get_dataset_split_names(path)
        split = request.split or next((name for name in ("validation", "val", "valid") if name in splits), None)
        if split is None and len(splits) == 1:
            split = splits[0]
        if split is None or split.partition("[")[0].partition("+")[0] not in splits:
            hint = nearest(split or "", splits)
            raise VitvisError(f"{request.spec} split={split}: no such split{hint} (there are: {', '.join(splits)})")
        data = datasets.load_dataset(path, split=split, streaming=streaming)
        features = data.features or data._resolve_features().features
        for name, feature in features.items():
            if isinstance(feature, datasets.Image):
                data = data.cast_column(name, datasets.Image(decode=False))
    except VitvisError:
        raise
    except Exception as error:  # the library raises whatever the ones below it raise
        raise VitvisError(f"{request.spec}: can't be opened ({one_line(error)})") from None
    return data, split


def _check_there(request: Request, path: str) -> None:
    """Ask the hub for a name once, without the library's many retries.

    Raises:
        VitvisError: there is no such dataset, or no way to the hub and no copy in the library's cache.
    """
    import datasets
    from datasets.config import HF_DATASETS_CACHE, HF_HUB_OFFLINE

    if "://" in path or os.path.exists(path):
        return
    if (Path(HF_DATASETS_CACHE) / path.replace("/", "___").lower()).is_dir():
        return
    if HF_HUB_OFFLINE or datasets.config.HF_HUB_OFFLINE:
        raise VitvisError(
            f"{request.spec}: is no folder, and isn't in the cache; HF_HUB_OFFLINE forbids to ask the hub"
        )
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError

    try:
        huggingface_hub.HfApi().dataset_info(path, timeout=10)
    except (HfHubHTTPError, ValueError) as error:
        raise VitvisError(f"{request.spec}: the hub has no such dataset, or not for you ({one_line(error)})") from None
    except Exception as error:  # httpx, sockets, certificates
        raise VitvisError(
            f"{request.spec}: is no folder, and the hub can't be reached ({type(error).__name__}: {one_line(error)})"
        ) from None


def _columns(features: Mapping[str, Any], request: Request) -> tuple[str, str | None, list[str]]:
    """Return the columns of image and class, and the names of the classes.

    Raises:
        VitvisError: none holds images.
    """
    import datasets

    images = [name for name, feature in features.items() if isinstance(feature, datasets.Image)]
    if not images:
        raise VitvisError(f"{request.spec}: no column holds images (there are: {', '.join(features)})")
    image = next((name for name in ("image", "img", "jpg") if name in images), images[0])
    classes = [name for name, feature in features.items() if isinstance(feature, datasets.ClassLabel)]
    label = next((name for name in LABELS if name in features), classes[0] if classes else None)
    return image, label, list(getattr(features[label], "names", None) or ()) if label else []


def _path(image: Any, request: Request) -> str:
    """Return the path of an image within the data, where there is one."""
    path = str(image.get("path") or "") if isinstance(image, Mapping) else ""
    root = str(request.folder)
    return os.path.relpath(path, root) if os.path.isabs(path) and path.startswith(root) else path


def _fetch(image: Mapping[str, Any]) -> Any:
    """Return an image whose path may point into an archive or to another machine."""
    import datasets

    if image.get("bytes") or os.path.isfile(str(image.get("path"))):
        return image
    try:
        return datasets.Image().decode_example(dict(image))
    except Exception as error:  # network, archive, codec
        raise UnusableImage(f"can't be read: {type(error).__name__} {one_line(error)}") from None
