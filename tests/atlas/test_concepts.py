"""Words and concept scores of `vitvis.concepts` in an atlas."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.atlas import made_runs as made
from tests.atlas.conftest import Visit
from tests.atlas.test_build import read_data
from vitvis.atlas import write_atlas

SITE = "blocks.1.mlp"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    path = made.write_search(tmp_path / "search", depths=2, kinds=("mlp",))
    rows = [
        {"address": f"{SITE}:3", "site": SITE, "score": 0.52, "words": ["music", "orchestra"]},
        {"address": f"{SITE}:7", "site": SITE, "score": -0.25, "words": ["<b>dog</b>", "music hall"]},
        {"address": f"{SITE}:8", "site": SITE, "score": None, "words": []},
    ]
    (path / "concepts").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), path / "concepts" / "concepts.parquet")
    return path


def test_columns(run: Path, tmp_path: Path) -> None:
    done = write_atlas([run], tmp_path / "atlas")
    tables = [read_data(done.path.parent, file.stem) for file in sorted((done.path.parent / "data").glob("s?.js"))]
    table = next(table for table in tables if f"{SITE}:3" in table["addresses"])
    assert table["words"][3] == ["music", "orchestra"] and table["words"][0] == []
    assert [table["concept"][unit] for unit in (3, 7, 8, 0)] == [0.52, -0.25, None, None]


@pytest.mark.browser
def test_units_are_found_by_word(browser, run: Path, tmp_path: Path) -> None:
    done = write_atlas([run], tmp_path / "atlas")
    context = browser.new_context()
    visit = Visit(context.new_page(), done.path)
    route = f"#/{made.BACKBONE}/{SITE}"
    page = visit.open(route)
    page.fill("#word", "Music")
    page.press("#word", "Enter")
    assert page.inner_text(".count") == "2 of 12 units" and page.url.endswith("?word=music")
    page.select_option("#sort", "concept")
    assert page.eval_on_selector_all(".tile span span:first-child", "all => all.map(one => one.textContent)") == [
        "3",
        "7",
    ]
    page = visit.open(f"{route}/7")
    facts = page.inner_text(".facts")
    assert "<b>dog</b>, music hall" in facts and "-0.25" in facts.replace("\N{MINUS SIGN}", "-")
    page = visit.open()
    page.click("text=Find units by word")
    visit.arrive(f"#/find/{made.BACKBONE}")
    page.fill("#find", "Music")
    page.press("#find", "Enter")
    visit.arrive(f"#/find/{made.BACKBONE}?word=Music")
    assert page.inner_text('[data-view="find"] .count') == "2 units"
    shown = page.locator(".found a").evaluate_all("all => all.map(one => one.textContent)")
    assert shown == [f"{SITE}:3music", f"{SITE}:7music hall"]  # best word first
    page.click(".found a >> nth=1")
    visit.arrive(f"{route}/7")
    assert visit.complaints == []
    context.close()
