"""What an eye sees in the pictures and the best photos of units: the space in which units are near or far."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vitvis.atlas.map.tiles import Tiles
from vitvis.atlas.model import Backbone, Run
from vitvis.runs import atomic_write

if TYPE_CHECKING:
    from vitvis.backbones.eye import Eye

__all__ = ["DIMENSIONS", "PHOTOS", "Sight", "chosen_photos", "directions_of_units", "nearest", "principal"]

#: Best photos that stand for a unit.
PHOTOS = 9
#: Principal components in which units are compared.
DIMENSIONS = 64
#: Side in px at which the eye looks; 2.6 times as many images a second as at 64 px.
SIDE = 48
_BATCH = 128
_CACHE = "map"

Floats = NDArray[np.floating]


class Sight:
    """An eye, and what it has seen: features of pictures by their pixels, kept in the folders of runs.

    Args:
        model: Name of the backbone that looks; `vitvis_resnet` looks at 48 px, others at their own size.

    Raises:
        VitvisError: there is no such model.
    """

    def __init__(self, model: str) -> None:
        from vitvis.backbones.eye import load_eye

        self.eye: Eye = load_eye(model, image_size=SIDE if model == "vitvis_resnet" else None)
        self._name = f"{self.eye.name}-{blake2b(repr(self.eye.identity).encode(), digest_size=4).hexdigest()}.npz"
        self._seen: dict[int, Floats] = {}

    @property
    def widths(self) -> list[int]:
        """Features of each depth."""
        return self.eye.widths

    def recall(self, runs: Iterable[Run]) -> None:
        """Read what was seen before; a file that can't be read counts as none."""
        for run in runs:
            try:
                with np.load(run.path / _CACHE / self._name, allow_pickle=False) as kept:
                    self._seen.update(zip(kept["keys"].tolist(), kept["features"], strict=True))
            except (OSError, ValueError, KeyError):
                continue

    def look(self, pixels: Callable[[int], NDArray[np.uint8]], count: int) -> tuple[NDArray[np.uint64], Floats]:
        """Return keys `[N]` and features float16 `[N, D]` of N pictures; `pixels(i)` is uint8 `[side, side, 3]`."""
        keys = np.zeros(count, np.uint64)
        features = np.zeros((count, sum(self.widths)), np.float16)
        fresh: list[tuple[int, NDArray[np.uint8]]] = []

        def flush() -> None:
            import torch

            images = torch.from_numpy(np.stack([picture for _, picture in fresh])).permute(0, 3, 1, 2).float() / 255
            for (place, _), row in zip(fresh, self.eye.look(images, logits=False).features.numpy(), strict=True):
                features[place] = self._seen[int(keys[place])] = row.astype(np.float16)
            fresh.clear()

        for place in range(count):
            picture = pixels(place)
            keys[place] = key = int.from_bytes(blake2b(picture.tobytes(), digest_size=8).digest(), "big")
            if key in self._seen:
                features[place] = self._seen[key]
                continue
            fresh.append((place, picture))
            if len(fresh) == _BATCH:
                flush()
        if fresh:
            flush()
        return keys, features

    def remember(self, run: Run, keys: Iterable[int]) -> None:
        """Keep what was seen in pictures of a run in its folder, as far as that can be written."""
        wanted = sorted({int(key) for key in keys} & self._seen.keys())
        path: Path = run.path / _CACHE / self._name
        try:
            with np.load(path, allow_pickle=False) as kept:
                if set(wanted) <= set(kept["keys"].tolist()):
                    return
        except (OSError, ValueError, KeyError):
            pass
        if not wanted:
            return
        buffer = io.BytesIO()
        np.savez(buffer, keys=np.asarray(wanted, np.uint64), features=np.stack([self._seen[key] for key in wanted]))
        try:
            path.parent.mkdir(exist_ok=True)
            atomic_write(path, buffer.getvalue())
        except OSError:  # a run on a read-only disk is looked at again the next time
            return


def directions_of_units(backbone: Backbone, tiles: Tiles, sight: Sight) -> NDArray[np.float32]:
    """Return a direction of length 1 for each unit of a backbone, `[N, D]`; zeros for one that shows nothing.

    A unit's direction joins that of its picture and the mean of its best photos' directions, each measured from the
    mean over all units, so that pictures and photos, which lie apart in any space, count alike.

    Args:
        backbone: Its sites, in order; the units of a site in order of their places.
        tiles: The tiles of these units, in the same order.
        sight: Looks.
    """
    from vitvis.backbones.space import make_space, unit_rows

    runs = {run.id: run for site in backbone.sites for run, _ in site.searches}
    runs |= {picture.run.id: picture.run for site in backbone.sites for picture in site.pictures}
    sight.recall(runs.values())
    wanted = _best_photos(backbone)
    shown = list(dict.fromkeys(photo for photos in wanted for photo in photos))
    photos = {photo: pixels for photo in shown if (pixels := tiles.read(_thumb(runs, *photo))) is not None}
    listed = list(photos)
    photo_keys, photo_features = sight.look(lambda place: photos[listed[place]], len(listed))
    optimised = [bool(site.pictures[unit].record) for site in backbone.sites for unit in range(len(site.keys))]
    drawn = np.flatnonzero(np.asarray(optimised, bool) & tiles.present)
    picture_keys, picture_features = sight.look(lambda place: tiles.pixels[drawn[place]], len(drawn))
    for run in runs.values():
        own = [key for (name, _), key in zip(listed, photo_keys, strict=True) if name == run.id]
        owners = [picture.run.id for site in backbone.sites for picture in site.pictures[: len(site.keys)]]
        own += [key for place, key in zip(drawn, picture_keys, strict=True) if owners[place] == run.id]
        sight.remember(run, own)
    reference = photo_features if len(listed) > 1 else picture_features
    count, width = len(wanted), sum(sight.widths)
    if len(reference) < 2:
        return np.zeros((count, width), np.float32)
    space = make_space(reference, sight.widths)
    row = {photo: place for place, photo in enumerate(listed)}
    of_photos = space.place(photo_features) if listed else np.zeros((0, width), np.float32)
    joined = np.zeros((count, width), np.float32)
    means = np.zeros_like(joined)
    for unit, own_photos in enumerate(wanted):
        rows = [row[photo] for photo in own_photos if photo in row]
        if rows:
            means[unit] = of_photos[rows].mean(0)
    joined += _centred(means)
    if len(drawn):
        of_pictures = np.zeros_like(joined)
        of_pictures[drawn] = space.place(picture_features)
        joined += _centred(of_pictures)
    return unit_rows(joined).astype(np.float32)


def _centred(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows measured from the mean of those that aren't zero, of length 1; the others stay zeros."""
    from vitvis.backbones.space import unit_rows

    there = np.any(rows, axis=1)
    found = np.zeros_like(rows)
    if there.any():
        found[there] = unit_rows(rows[there] - rows[there].mean(0) if there.sum() > 1 else rows[there])
    return found


def _best_photos(backbone: Backbone) -> list[list[tuple[str, int]]]:
    """Return run and index of the best photos of each unit, by the first search that knows the unit."""
    found: list[list[tuple[str, int]]] = []
    for site in backbone.sites:
        for unit in range(len(site.keys)):
            run, record = next(((run, records[unit]) for run, records in site.searches if unit in records), (None, {}))
            indices = (record.get("strongest_index") or [])[:PHOTOS]
            found.append([(run.id, int(index)) for index in indices] if run is not None else [])
    return found


def _thumb(runs: dict[str, Run], run: str, index: int) -> Path | None:
    return runs[run].file(f"thumbs/{index}.jpg")


def principal(rows: Floats, dimensions: int = DIMENSIONS) -> NDArray[np.float32]:
    """Return rows `[N, D]` in their first principal components, `[N, <= dimensions]`, most spread first.

    Signs are chosen so that the largest weight of a component is positive.
    """
    centred = np.asarray(rows, np.float64)
    centred = centred - centred.mean(0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    axes = axes[:, ::-1][:, : min(dimensions, len(rows))]
    largest = axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])]
    return (centred @ (axes * np.where(largest < 0, -1, 1))).astype(np.float32)


def nearest(rows: Floats, count: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the nearest other rows of each row by cosine, `[N, count]` places and similarities, nearest first.

    Ties go to the lower place. Rows of zeros are nobody's neighbours, and have none: their similarities are -inf.
    """
    from vitvis.backbones.space import unit_rows

    unit = unit_rows(np.asarray(rows, np.float32))
    nobody = ~np.any(unit, axis=1)
    count = max(0, min(count, len(unit) - 1))
    places = np.zeros((len(unit), count), np.int64)
    values = np.full((len(unit), count), -np.inf, np.float32)
    for start in range(0, len(unit), 1024):
        block = unit[start : start + 1024] @ unit.T
        own = np.arange(start, start + len(block))
        block[np.arange(len(block)), own] = -np.inf
        block[:, nobody] = -np.inf
        block[nobody[own]] = -np.inf
        if count:
            best = np.sort(np.argpartition(-block, count - 1, axis=1)[:, :count], axis=1)
            found = np.take_along_axis(block, best, 1)
            order = np.argsort(-found, axis=1, kind="stable")
            places[own], values[own] = np.take_along_axis(best, order, 1), np.take_along_axis(found, order, 1)
    return places, values


def chosen_photos(backbone: Backbone) -> Sequence[tuple[str, int] | None]:
    """Return run and index of the best photo of each unit, or None."""
    return [photos[0] if photos else None for photos in _best_photos(backbone)]
