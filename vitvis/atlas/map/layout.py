"""Where units stand on the map: a plane from many dimensions, then a place of its own for each on a grid."""

from __future__ import annotations

import importlib.util
import logging
import math
import warnings

import numpy as np
from numpy.typing import NDArray

__all__ = ["ENOUGH", "grid_shape", "has_neighbourhoods", "plane", "snap"]

#: Fewer units than this are laid out by their first two principal components.
ENOUGH = 64
_ASPECT = 1.6


def has_neighbourhoods() -> bool:
    """Say whether PaCMAP is there (the extra `map`)."""
    return importlib.util.find_spec("pacmap") is not None


def plane(rows: NDArray[np.floating], seed: int) -> NDArray[np.float64]:
    """Return a place on a plane for each row, `[N, 2]`, near to each other where rows `[N, D]` are.

    PaCMAP (Wang, Huang, Rudin and Shaposhnik 2021, JMLR 22) keeps neighbourhoods and the order of groups. Without it,
    or for few rows, the first two columns are the plane.

    Args:
        rows: Principal components, most spread first.
        seed: Decides the draw of PaCMAP's pairs.
    """
    if rows.shape[1] < 2:
        return np.pad(np.asarray(rows, np.float64), ((0, 0), (0, 2 - rows.shape[1])))
    if len(rows) < ENOUGH or not has_neighbourhoods():
        return np.asarray(rows[:, :2], np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pacmap import PaCMAP

        logging.getLogger("pacmap").setLevel(logging.ERROR)  # it warns of every seed

        found = PaCMAP(random_state=seed, apply_pca=False).fit_transform(np.array(rows, np.float32), init="pca")
    return np.asarray(found, np.float64)


def grid_shape(count: int) -> tuple[int, int]:
    """Return rows and columns of a grid with a cell for each of so many units, a little wider than high."""
    columns = max(1, math.ceil(math.sqrt(count * _ASPECT)))
    return max(1, math.ceil(count / columns)), columns


def snap(points: NDArray[np.floating], rows: int, columns: int) -> NDArray[np.int64]:
    """Return a cell of its own for each of N points `[N, 2]`, int64 `[N]`, row by row; x grows right, y downwards.

    The first N cells are filled. A part of the grid is cut in half along its longer side, and its points by rank along
    the same side so that each half gets as many as it has cells, until one cell is left: order is kept, crowds spread,
    gaps close. N log² N.

    Raises:
        ValueError: more points than cells.
    """
    if len(points) > rows * columns:
        raise ValueError(f"{len(points)} points do not fit into {rows} x {columns} cells")
    full, rest = divmod(len(points), columns)  # rows that are filled, and cells of the next one

    def room(top: int, bottom: int, left: int, right: int) -> int:
        partial = max(0, min(right, rest) - left) if top <= full < bottom else 0
        return max(0, min(bottom, full) - top) * (right - left) + partial

    cells = np.zeros(len(points), np.int64)
    waiting = [(np.arange(len(points)), 0, rows, 0, columns)]
    while waiting:
        own, top, bottom, left, right = waiting.pop()
        if not len(own):
            continue
        if bottom - top == right - left == 1:
            cells[own] = top * columns + left
            continue
        wide = right - left >= bottom - top
        ordered = own[np.argsort(points[own, 0 if wide else 1], kind="stable")]
        if wide:
            middle = (left + right) // 2
            halves = (top, bottom, left, middle), (top, bottom, middle, right)
        else:
            middle = (top + bottom) // 2
            halves = (top, middle, left, right), (middle, bottom, left, right)
        first = room(*halves[0])
        waiting += [(ordered[:first], *halves[0]), (ordered[first:], *halves[1])]
    return cells
