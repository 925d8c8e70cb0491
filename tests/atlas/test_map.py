"""The map: a cell for each unit, neighbours by cosine, what was seen is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.atlas import made_runs as made
from vitvis.atlas import write_atlas
from vitvis.atlas.map import drawing, layout
from vitvis.atlas.map.features import nearest, principal
from vitvis.atlas.map.tiles import SIDE, Tiles


def read(path: Path) -> Any:
    return json.loads(path.read_text().split(",", 1)[1].rstrip().removesuffix(");"))


@pytest.mark.parametrize(("rows", "columns"), [(1, 7), (5, 8), (9, 9), (13, 21)])
def test_points_on_a_grid_keep_their_cells(rows: int, columns: int) -> None:
    y, x = np.mgrid[0:rows, 0:columns]
    points = np.stack([x.ravel() * 3.0, y.ravel() * 0.5 - 7], 1)
    order = np.random.default_rng(0).permutation(rows * columns)
    assert layout.snap(points[order], rows, columns).tolist() == order.tolist()


@pytest.mark.parametrize("count", [1, 2, 11, 97, 1000])
def test_each_unit_has_a_cell_of_its_own_without_gaps(count: int) -> None:
    rows, columns = layout.grid_shape(count)
    cells = layout.snap(np.random.default_rng(count).normal(size=(count, 2)), rows, columns)
    assert sorted(cells) == list(range(count))
    with pytest.raises(ValueError, match="do not fit"):
        layout.snap(np.zeros((rows * columns + 1, 2)), rows, columns)


def test_nearest_rows_are_those_of_a_plain_sort() -> None:
    rows = np.random.default_rng(1).normal(size=(40, 6)).astype(np.float32)
    rows[7] = 0
    places, values = nearest(rows, 5)
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    for row in (0, 3, 39):
        cosines = {other: float(unit[row] @ unit[other]) for other in range(40) if other not in (row, 7)}
        expected = sorted(cosines, key=lambda other: -cosines[other])[:5]
        assert places[row].tolist() == expected
        np.testing.assert_allclose(values[row], [cosines[other] for other in expected], atol=1e-6)
    assert not np.isfinite(values[7]).any()


def test_principal_components_keep_distances() -> None:
    rows = np.random.default_rng(2).normal(size=(30, 8))
    found = principal(rows, 8)
    distances = lambda points: np.linalg.norm(points[:, None] - points[None], axis=2)  # noqa: E731
    np.testing.assert_allclose(distances(found), distances(rows), atol=1e-4)
    assert (np.diff(found.std(0)) <= 1e-6).all()


def test_blocks_and_overview_show_each_tile_in_its_cell() -> None:
    count, columns = 500, 28
    tiles = Tiles(count)
    for unit in range(count - 1):  # the last one has no picture
        tiles.put(unit, Image.new("RGB", (96, 96), (unit % 256, unit // 256, 7)))
    cells = np.random.default_rng(3).permutation(count)
    rows = -(-count // columns)
    overview = np.asarray(drawing.draw_overview(tiles, cells, rows, columns))
    side = drawing.overview_side(rows, columns)
    blocks = {
        (row, column): np.asarray(image) for row, column, image in drawing.draw_blocks(tiles, cells, rows, columns)
    }
    assert len(blocks) == -(-rows // 8) * -(-columns // 8)
    for unit in range(count):
        row, column = divmod(int(cells[unit]), columns)
        wanted = [unit % 256, unit // 256, 7, 255] if unit < count - 1 else [0, 0, 0, 0]
        assert overview[row * side + side // 2, column * side + side // 2].tolist() == wanted
        block = blocks[row // 8, column // 8]
        assert block[row % 8 * SIDE + 9, column % 8 * SIDE + 9].tolist() == wanted


def test_a_map_is_the_same_again_and_is_not_looked_at_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vitvis.backbones.eye import Eye

    runs = [
        made.write_fit(tmp_path / "fit", depths=2, units=20, kinds=("mlp", "block"), seeds=(0,), strips=False),
        made.write_search(tmp_path / "search", depths=2, units=24, kinds=("mlp",)),
    ]
    first = write_atlas(runs, tmp_path / "first", eye="vitvis_resnet").path.parent
    monkeypatch.setattr(Eye, "look", lambda *args, **kwargs: pytest.fail("the same pictures were looked at again"))
    second = write_atlas(runs, tmp_path / "second", eye="vitvis_resnet").path.parent
    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert [name for name in files if (first / name).read_bytes() != (second / name).read_bytes()] == []
    data = read(first / "data/map-0.js")
    assert sorted(data["cells"]) == list(range(2 * 24 + 2 * 20))
    assert data["neighbourhoods"] == layout.has_neighbourhoods()
    assert set(data["colours"]) == {"depth", "kind", "selectivity", "hf_share"}  # all units fire alike, none is judged
    near = read(first / "data/s0-0.js")[3]
    assert near["by"] == "map" and len(near["near"]) == 10
    assert ["s0", 3] not in [item[:2] for item in near["near"]]
    similar = [item[2] for item in near["near"]]
    assert similar == sorted(similar, reverse=True)


def test_what_the_map_remembers_is_no_part_of_a_run(tmp_path: Path) -> None:
    from vitvis.runs.verify import verify

    run = made.write_fit(tmp_path / "fit", depths=2, units=12, kinds=("mlp",), seeds=(0,), strips=False)
    before = verify(run)
    first = write_atlas([run], tmp_path / "first", eye="vitvis_resnet").path.parent
    (kept,) = (run / "map").iterdir()
    assert verify(run) == before and before[0].problems == []
    kept.write_bytes(b"cut off")
    assert verify(run) == before
    second = write_atlas([run], tmp_path / "second", eye="vitvis_resnet").path.parent  # it is looked at again
    assert (first / "data/map-0.js").read_bytes() == (second / "data/map-0.js").read_bytes()
    assert kept.stat().st_size > 100
