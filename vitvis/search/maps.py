"""Patch maps on the disk: whole arrays, and, of latents, what is not 0. Light: no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

__all__ = ["SparseMaps", "open_maps", "write_sparse"]


class SparseMaps:
    """Maps `[units, k, rows, cols]` of which only what is not 0 is kept; `maps[unit]` is float16 `[k, rows, cols]`.

    Args:
        shape: of all maps.
        starts: int64 `[units + 1]`, where each unit's entries begin.
        places: int32, place of each entry within its unit, row by row.
        values: float16, likewise.
    """

    def __init__(self, shape: tuple[int, ...], starts: np.ndarray, places: np.ndarray, values: np.ndarray) -> None:
        self.shape, self._starts, self._places, self._values = shape, starts, places, values

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, unit: int) -> np.ndarray:
        import numpy as np

        own = slice(int(self._starts[unit]), int(self._starts[unit + 1]))
        maps = np.zeros(self.shape[1:], np.float16)
        maps.reshape(-1)[self._places[own]] = self._values[own]
        return maps


def open_maps(path: Path) -> np.ndarray | SparseMaps:
    """Open the file of a site's maps; a whole array is left on the disk."""
    import numpy as np

    if path.suffix == ".npy":
        whole: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
        return whole
    with np.load(path, allow_pickle=False) as file:
        return SparseMaps(tuple(int(n) for n in file["shape"]), file["starts"], file["places"], file["values"])


def write_sparse(file: Any, maps: np.ndarray) -> None:
    """Write maps `[units, k, rows, cols]` without their zeros."""
    import numpy as np

    flat = maps.reshape(len(maps), -1)
    unit, place = flat.nonzero()
    starts = np.searchsorted(unit, np.arange(len(maps) + 1)).astype(np.int64)
    np.savez(file, shape=np.array(maps.shape), starts=starts, places=place.astype(np.int32), values=flat[unit, place])
