"""A contact sheet shows every image, in order, with labels and marks."""

import numpy as np
import pytest
from PIL import Image

from vitvis.draw.sheet import COLUMNS, LINES_A_PAGE, Row, Tile, draw_sheets, rows_of_records


def plain(colour, size=(32, 32)):
    return Image.new("RGB", size, colour)


def record(site, depth, unit, **changes):
    values = dict(site=site, depth=depth, unit=unit, sign=1, address=f"{site}:{unit}", seed=0, image=None)
    return values | dict(status="ok", activation=1.0, direction=None) | changes


def colours(page):
    return {tuple(int(v) for v in colour) for colour in np.unique(np.asarray(page).reshape(-1, 3), axis=0)}


def test_rows_are_sites_by_depth_and_units_in_order():
    records = [record("blocks.10.mlp", 10, 3), record("blocks.2.mlp", 2, 7), record("blocks.2.mlp", 2, 5, sign=-1)]
    rows = rows_of_records(records, "nowhere")
    assert [row.title for row in rows] == ["blocks.2.mlp", "blocks.10.mlp"]
    assert [tile.label for tile in rows[0].tiles] == ["\N{MINUS SIGN}5", "7"]


def test_seeds_are_named_only_where_there_are_several():
    assert rows_of_records([record("a", 0, 3)], ".")[0].tiles[0].label == "3"
    rows = rows_of_records([record("a", 0, 3), record("a", 0, 3, seed=1)], ".")
    assert [tile.label for tile in rows[0].tiles] == ["3 s0", "3 s1"]


def test_every_picture_is_on_the_page_and_small_ones_are_enlarged():
    red, blue = (255, 0, 0), (0, 0, 255)
    (page,) = draw_sheets([Row("a", [Tile(plain(red), "0"), Tile(plain(blue), "1")])], title="t", subtitle="s")
    assert {red, blue} <= colours(page)
    pixels = np.asarray(page)
    assert (pixels == red).all(-1).sum() == (pixels == blue).all(-1).sum() == 128 * 128


def test_the_picture_left_is_the_unit_that_comes_first(tmp_path):
    for unit, colour in enumerate([(255, 0, 0), (0, 0, 255)]):
        plain(colour).save(tmp_path / f"{unit}.png")
    records = [record("a", 0, unit, image=f"{unit}.png") for unit in (1, 0)]
    (page,) = draw_sheets(rows_of_records(records, tmp_path))
    pixels = np.asarray(page)
    assert np.nonzero((pixels == (255, 0, 0)).all(-1))[1].max() < np.nonzero((pixels == (0, 0, 255)).all(-1))[1].min()


@pytest.mark.parametrize("status", ["dead", "failed"])
def test_units_that_did_not_work_are_marked(status):
    (ok,) = draw_sheets([Row("a", [Tile(plain("white"), "0", "0.1")])])
    (marked,) = draw_sheets([Row("a", [Tile(plain("white"), "0", "0.1", status)])])
    assert ok.size == marked.size and np.asarray(ok).tobytes() != np.asarray(marked).tobytes()


def test_missing_pictures_are_hatched_not_fatal(tmp_path):
    (page,) = draw_sheets([Row("a", [Tile(None, "0"), Tile(tmp_path / "gone.png", "1")])], tile=64)
    assert (0xCC, 0xCC, 0xCC) in colours(page)


def test_large_runs_are_capped_and_paged():
    tile = Tile(plain("red", (8, 8)), "0")
    rows = [Row(f"blocks.{i}.mlp", [tile] * (COLUMNS * 9)) for i in range(12)]
    pages = draw_sheets(rows, tile=16)
    assert len(pages) == -(-12 * 4 // LINES_A_PAGE)
    assert all(page.width * page.height < 40e6 for page in pages)


def test_no_records_make_an_empty_page():
    (page,) = draw_sheets([], title="nothing")
    assert page.width > 0 and page.height > 0


def test_other_shapes_keep_their_proportions():
    (page,) = draw_sheets([Row("a", [Tile(plain((255, 0, 0), (300, 100)), "0")])], tile=150)
    assert (np.asarray(page) == (255, 0, 0)).all(-1).sum() == 150 * 50
