"""A run and a unit as notebooks show them, and the widget, without a notebook."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import vitvis
from tests.atlas import made_runs as made
from vitvis.fit import FitRun

UNITS = "blocks.{1,10}.mlp:3-4"


class Page(HTMLParser):
    """Tags, rows of tables and text of a piece of HTML; complains about tags that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[dict[str, str]] = []
        self.links: list[str] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
        if tag == "img":
            self.images.append(dict(attrs))
            return
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag == "a":
            self.links.append(dict(attrs)["href"])

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def picture(image: dict[str, str]) -> Image.Image:
    assert image["alt"] is not None
    return Image.open(io.BytesIO(base64.b64decode(image["src"].partition("base64,")[2]))).convert("RGB")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> FitRun:
    out = tmp_path_factory.mktemp("shown") / "a b"
    return vitvis.fit.run({"trainer.progress": "none"}, units=UNITS, steps=2, out=str(out))


def test_a_run_shows_sheet_table_and_a_link_to_its_atlas(run: FitRun) -> None:
    page = Page(run._repr_html_())
    (sheet,) = page.images
    with Image.open(run.path / "sheet.png") as whole:
        assert picture(sheet).size == whole.size  # a small sheet is shown as it is
    assert page.rows[0] == ["address", "seed", "status", "activation", "rank", "hf_share", "seconds"]
    assert [row[0] for row in page.rows[1:]] == [f"blocks.{depth}.mlp:{unit}" for depth in (1, 10) for unit in (3, 4)]
    by_address = {record["address"]: record for record in run}
    for row in page.rows[1:]:
        assert float(row[3]) == pytest.approx(by_address[row[0]]["activation"], rel=0.01)
    (link,) = page.links
    assert link == (run.path / "atlas" / "index.html").as_posix().replace(" ", "%20")
    assert (run.path / "atlas" / "index.html").is_file()
    assert f"{len(run)} images" in page.text
    assert "bundled weights · " in (run.path / "atlas" / "index.html").read_text()


def test_a_long_run_shows_the_first_rows_and_says_so(run: FitRun) -> None:
    many = FitRun([{**run[0], "seed": seed} for seed in range(40)], run.path, run.summary, None)
    page = Page(many._repr_html_())
    assert len(page.rows) == 13 and "and 28 more" in page.text
    assert page.images == [] and page.links == []  # a shard that is not the last has no sheet yet


def test_a_run_in_plain_text_is_one_line(run: FitRun) -> None:
    formatter = pytest.importorskip("IPython.lib.pretty", reason="needs IPython")
    assert formatter.pretty(run) == f"4 images in {run.path}"


def test_a_unit_shows_its_picture_and_numbers(run: FitRun) -> None:
    panel = vitvis.show(run, "blocks.10.mlp:4")
    page = Page(panel._repr_html_())
    record = next(record for record in run if record["address"] == "blocks.10.mlp:4")
    with Image.open(run.path / record["image"]) as made_picture:
        assert picture(page.images[0]).tobytes() == made_picture.convert("RGB").tobytes()
    facts = {row[0]: row[1] for row in page.rows if len(row) == 2}
    assert float(facts["activation"]) == pytest.approx(record["activation"], rel=0.01)
    assert facts["rank at the site"] == f"{record['rank']} of 768"
    assert repr(panel) == "UnitPanel(address='blocks.10.mlp:4')"  # no path of this machine


def test_a_unit_shows_the_photos_of_a_search_as_text_that_is_harmless(tmp_path: Path) -> None:
    search = made.write_search(tmp_path / "search", label=made.XSS)
    fit = made.write_fit(tmp_path / "fit")
    text = vitvis.show([fit, search], "blocks.1.mlp:7")._repr_html_()
    page = Page(text)
    photos = [image for image in page.images if image["alt"].startswith("Photo")]
    assert len(photos) == 9 and len(page.images) == 2 + 2 * 9  # two seeds; each photo with its map upon it
    assert made.XSS in page.text and made.XSS not in text
    assert "Strongest of 30 photos" in page.text


def test_an_unknown_unit_names_the_nearest(run: FitRun) -> None:
    with pytest.raises(
        vitvis.VitvisError, match=r"no picture or record of blocks.10.mpl:4; did you mean 'blocks.10.mlp:4'"
    ):
        vitvis.show(run, "blocks.10.mpl:4")
    with pytest.raises(vitvis.VitvisError, match="int is no run"):
        vitvis.show(7, "head:0")


def test_the_widget_fits_what_is_chosen(tmp_path: Path) -> None:
    pytest.importorskip("anywidget", reason="needs anywidget")
    search = made.write_search(tmp_path / "search", kinds=("mlp",))
    shown = vitvis.widget("vitvis_vit", search=search, out=tmp_path / "out", seeds=[3])
    assert ["blocks.8.mlp", 768] in shown.sites and ["head", 200] in shown.sites
    shown.site, shown.unit = "blocks.1.mlp", 7
    assert Page(shown.photos).images and shown.pictures.count("<img") == 0
    shown.steps, shown.decay = 2, 2.0
    shown.fit()
    assert shown.state == "ready" and shown.pictures.count("<img") == 1
    first = picture(Page(shown.pictures).images[0])
    shown.decay = 0.5
    shown.fit()
    both = Page(shown.pictures).images
    assert len(both) == 2 and re.findall(r"decay ([\d.]+)", "".join(image["alt"] for image in both)) == ["0.5", "2"]
    assert picture(both[1]).tobytes() == first.tobytes() != picture(both[0]).tobytes()
    records = vitvis.read_records(tmp_path / "out" / "steps2-decay0.5")
    assert [(record["address"], record["seed"], record["steps"]) for record in records] == [("blocks.1.mlp:7", 3, 2)]
    ask = {"fit": 1, "site": "head", "unit": 3, "steps": 2, "decay": 1.0}
    shown._hear(shown, ask, [])  # as the page asks: its values, whatever has been told before
    assert (shown.address, shown.done, shown.pictures.count("<img")) == ("head:3", 1, 1)
    shown._hear(shown, {**ask, "fit": 2, "unit": 9999}, [])
    assert shown.done == 2 and "9999" in shown.state
    shown.site, shown.unit = "blocks.1.mlp", 8
    assert shown.pictures.count("<img") == 0  # pictures are of the unit that is chosen
    shown.unit = 9999
    assert "has not seen blocks.1.mlp:9999" in shown.photos
    shown.fit()
    assert "9999" in shown.state and shown.state != "ready"
