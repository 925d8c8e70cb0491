"""The photos that a judge looks at: where they lie, which are drawn by chance, what it saw in them before."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vitvis.data.bands import Bands
from vitvis.data.decode import decode
from vitvis.data.kinds import open_source
from vitvis.data.photo import UnusableImage
from vitvis.data.source import Source
from vitvis.errors import VitvisError
from vitvis.judge.pairs import middle_photos
from vitvis.runs import atomic_write, digest
from vitvis.search.reading import SearchRun
from vitvis.search.sample import keyed_hash

__all__ = ["Album", "open_album"]

FOLDER = "judge"


@dataclass
class Album:
    """Photos under dataset indices.

    Attributes:
        folder: Where what is seen in them is kept: the search's folder, or that of a run.
        search: The search whose photos they are; None for data alone.
        source: Where they are read from; None: from the search's thumbnails.
    """

    folder: Path
    search: SearchRun | None
    source: Source | None

    @property
    def _bands(self) -> list[int] | None:
        """Bands that the search has shown as red, green and blue."""
        return None if self.search is None else self.search.manifest.get("bands")

    @property
    def kind(self) -> str:
        """`data` or `thumbs`: what a judge sees of a photo."""
        return "thumbs" if self.source is None else "data"

    def load(self, index: int) -> Any:
        """Decode a photo to RGB.

        Raises:
            UnusableImage: it can't be read, or isn't there any more.
        """
        if self.source is not None:
            found = self.source.load(index)
            return found.picture(self._bands) if isinstance(found, Bands) else found
        assert self.search is not None
        return decode(self.search.thumb(index))

    def thumb(self, index: int) -> Any:
        """Return a photo as the run's model saw it, RGB.

        Raises:
            UnusableImage: the search has kept no thumbnail of it.
        """
        if self.search is None:
            raise UnusableImage("no search, no thumbnails")
        return decode(self.search.thumb(index))

    def by_chance(self, count: int, seed: int) -> list[int]:
        """Return photos drawn by chance, ascending: of the data, or, where it is gone, those a search drew from it."""
        if self.source is not None and self.source.length:
            hashes = keyed_hash(torch.arange(self.source.length), seed)
            return sorted(hashes.argsort(stable=True)[:count].tolist())
        return [] if self.search is None else middle_photos(self.search)[:count]

    @cached_property
    def place(self) -> dict[str, Any]:
        """What tells this album from another in the same folder."""
        if self.source is None:
            return {"photos": "thumbs"}
        return {"photos": "data", "data": self.source.spec, "images": self.source.length}

    def cache_path(self, eye: str, identity: dict[str, Any]) -> Path:
        """Return the file of what an eye saw in these photos."""
        return self.folder / FOLDER / f"photos-{eye}-{digest({**identity, **self.place}, 8)}.npz"

    @staticmethod
    def read(path: Path) -> dict[int, np.ndarray]:
        """Return features by dataset index from a file of the cache; empty where it isn't there or is damaged."""
        try:
            with np.load(path, allow_pickle=False) as kept:
                return dict(zip(kept["index"].tolist(), kept["features"], strict=True))
        except (OSError, ValueError, KeyError):
            return {}

    @staticmethod
    def write(path: Path, features: dict[int, np.ndarray]) -> None:
        """Write features by dataset index, whole or not at all."""
        buffer = io.BytesIO()
        indices = sorted(features)
        np.savez(buffer, index=np.asarray(indices, np.int64), features=np.stack([features[i] for i in indices]))
        atomic_write(path, buffer.getvalue())


def open_album(
    search: SearchRun | None, data: str | None, *, split: str | None, photos: str, folder: Path
) -> Album | None:
    """Open the photos of a search, at full resolution where its data is still there, or those of data alone.

    Args:
        search: The search, or None.
        data: Where its photos lie now, or data of its own.
        split: Of `data`.
        photos: `auto`, `data` or `thumbs`.
        folder: For what is seen in photos of data alone.

    Returns:
        None where there are no photos at all.

    Raises:
        VitvisError: data that was asked for isn't there, or is not that of the search.
    """
    if search is None:
        if data is None:
            return None
        source = open_source(data, split=split)
        _check_random_access(source, data)
        return Album(folder, None, source)
    if photos == "thumbs":
        _check_thumbs(search)
        return Album(search.path, search, None)
    recipe = search.manifest.get("recipe") or {}
    try:
        source = open_source(
            data or recipe.get("data"), split=split if data else recipe.get("split", split), limit=recipe.get("limit")
        )
        _check_random_access(source, data or str(recipe.get("data")))
        if recipe.get("images") not in (None, source.length):
            raise VitvisError(
                f"{source.spec}: has {source.length} images, but the search {search.path} saw {recipe['images']};"
                " give its own data, or photos=thumbs"
            )
    except VitvisError:
        if data is not None or photos == "data":
            raise
        _check_thumbs(search)
        return Album(search.path, search, None)
    return Album(search.path, search, source)


def _check_random_access(source: Source, data: str) -> None:
    if not source.random_access:
        raise VitvisError(f"data={data}: is a stream; a judge looks at single photos (photos=thumbs of a search do)")


def _check_thumbs(search: SearchRun) -> None:
    if not (search.path / "thumbs").is_dir():
        raise VitvisError(
            f"{search.path}: has no thumbnails, and its data can't be read any more; give data=, or search again"
        )


def as_tensor(picture: Any) -> torch.Tensor:
    """Return an RGB picture as float32 `[3, H, W]` in [0, 1]."""
    return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1).float() / 255


def missing(wanted: Iterable[int], known: Iterable[int]) -> list[int]:
    """Return the photos that are wanted and not known, ascending."""
    return sorted(set(wanted) - set(known))
