"""Every kind of page, in both themes, wide and narrow: axe-core finds no serious fault, nothing scrolls sideways."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import axe
from tests.atlas import made_runs as made
from tests.atlas.conftest import Visit
from tests.atlas.test_evaluations import write
from vitvis.atlas import Atlas, write_atlas

pytestmark = pytest.mark.browser
SITE = "#/made_vit/blocks.1.mlp"
PAGES = ["#/", SITE, f"{SITE}/7", f"{SITE}/3", "#/compare/made_vit/blocks.1.mlp?units=0,2",
         "#/find/made_vit?word=music", "#/map/made_vit", "#/map/made_vit?colour=depth", "#/evaluation",
         f"{SITE}/999"]  # fmt: skip


@pytest.fixture(scope="module")
def everything(runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Atlas:
    """Fits, a search with words, evaluations on masks and under filters, a sweep, a map."""
    folder = tmp_path_factory.mktemp("everything")
    search = made.write_search(folder / "worded")
    (search / "concepts").mkdir()
    rows = [{"address": f"blocks.1.mlp:{unit}", "site": "blocks.1.mlp", "score": 0.1 * unit, "words": ["music", "dog"]}
            for unit in (3, 7)]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), search / "concepts" / "concepts.parquet")
    sizes = [{"size": size, "model": "vit", "variant": "full", "fill": None, "n": 100, "top1": 40.0}
             for size in ("small", "large")]  # fmt: skip
    write(folder / "filters", "lowpass", {"full": 80.0, "radius 2": 10.0, "radius 8": 40.0}, sizes)
    return write_atlas([search, *runs, folder / "filters"], folder / "atlas", eye="vitvis_resnet")


@pytest.fixture(scope="module", params=[("dark", 1400), ("light", 1400), ("dark", 390), ("light", 390)], ids=str)
def tab(request: pytest.FixtureRequest, browser: Any, everything: Atlas) -> Iterator[Visit]:
    theme, width = request.param
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme, reduced_motion="reduce")
    visitor = Visit(context.new_page(), everything.path)
    yield visitor
    context.close()


@pytest.mark.parametrize("route", PAGES)
def test_no_serious_fault_and_no_scrolling_sideways(tab: Visit, route: str) -> None:
    page = tab.open(route)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert axe.faults(page) == []


def test_faults_are_found(browser: Any, everything: Atlas) -> None:
    context = browser.new_context(color_scheme="light", reduced_motion="reduce")
    page = Visit(context.new_page(), everything.path).open("#/")
    page.evaluate("document.querySelector('a.cell img').alt = ''; document.querySelector('a.cell').title = ''")
    page.evaluate("document.querySelector('.lead').style.color = '#bbb'")
    found = axe.faults(page)
    assert [fault.split()[0] for fault in found] == ["color-contrast", "link-name"]
    context.close()
