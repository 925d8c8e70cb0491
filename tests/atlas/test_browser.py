"""What a person does with the atlas, done by a real browser on `file://`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.atlas import made_runs as made
from tests.atlas.conftest import Visit
from vitvis.atlas import Atlas, write_atlas

pytestmark = pytest.mark.browser
SITE = "#/made_vit/blocks.1.mlp"


def keys(page) -> list[str]:
    return page.eval_on_selector_all(
        ".tile", "tiles => tiles.sort((a, b) => a.dataset.position - b.dataset.position)"
        ".map(tile => tile.querySelector('span span').textContent)")  # fmt: skip


def test_from_index_to_site_to_unit_and_back(visit: Visit) -> None:
    page = visit.open()
    page.click('a.cell[title^="blocks.1.mlp"]')
    visit.arrive(SITE)
    assert keys(page) == [str(unit) for unit in range(12)]
    page.click(".tile >> nth=4")
    visit.arrive(f"{SITE}/4")
    assert page.inner_text("section:not([hidden]) h1") == "blocks.1.mlp:4"
    page.keyboard.press("Escape")
    visit.arrive(f"{SITE}?at=4")
    assert page.evaluate("document.activeElement.textContent").startswith("4")


def test_sort_and_filter_change_the_tiles_and_the_link(visit: Visit) -> None:
    page = visit.open(SITE)
    page.select_option("#sort", "activation")
    shown = page.eval_on_selector_all(
        ".tile", "tiles => tiles.map(tile => tile.querySelectorAll('span span')[1].textContent)"
    )
    numbers = [float(text) for text in shown if text not in ("dead", "failed")]
    assert numbers == sorted(numbers, reverse=True)
    assert len(numbers) == 10
    page.select_option("#show", "dead")
    assert keys(page) == ["3"]
    assert page.inner_text(".count") == "1 of 12 units"
    assert page.url.endswith("?sort=activation&show=dead")
    page.select_option("#show", "ok")
    assert not {"3", "5"} & set(keys(page))


def test_jump_keys_and_size(visit: Visit) -> None:
    page = visit.open(SITE)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.dataset.position") == "1"
    page.keyboard.press("Enter")
    visit.arrive(f"{SITE}/1")
    page.keyboard.press("ArrowRight")
    visit.arrive(f"{SITE}/2")
    page.click("#previous")
    visit.arrive(f"{SITE}/1")
    visit.open(SITE)
    before = page.locator(".tile >> nth=0").bounding_box()["width"]
    page.evaluate(
        "size => { const range = document.querySelector('#size'); range.value = size;"
        " range.dispatchEvent(new Event('input')) }",
        160,
    )
    assert before < 160 <= page.locator(".tile >> nth=0").bounding_box()["width"] < 180
    page.fill("#jump", "7")
    page.press("#jump", "Enter")
    visit.arrive(f"{SITE}/7")


def test_unit_page_by_deep_link_shows_everything(visit: Visit) -> None:
    page = visit.open(f"{SITE}/7")
    assert page.evaluate("document.querySelector('img.big').naturalWidth") == 64
    assert page.locator("#seeds a").count() == 3  # two seeds of one run, one of another
    assert page.locator("#strongest .photo").count() == 9
    assert page.locator("#weakest .photo").count() == 5
    page.wait_for_function("[...document.querySelectorAll('#strongest img')].every(image => image.naturalWidth > 0)")
    assert page.locator("img.strip").count() == 1
    assert "inside, outside the box\n0.7, 0.1" in page.inner_text(".unit")
    assert page.inner_text("#command").startswith(
        "python -m vitvis.fit steps=40 'units=[blocks.1.mlp:7]' 'seeds=[0]' out="
    )
    page.click("#copy")
    page.wait_for_selector(".said.on")
    page.click("#seeds a >> nth=1")
    visit.arrive(f"{SITE}/7?picture=1")
    assert "seeds=[1]" in page.inner_text("#command")


def test_overlay_toggles_and_is_hottest_at_the_strongest_patch(visit: Visit, runs: list[Path]) -> None:
    from vitvis.runs import read_records

    record = next(row for row in read_records(runs[2]) if row["address"] == "blocks.1.mlp:7")
    page = visit.open(f"{SITE}/7")
    assert not page.locator("#strongest canvas >> nth=0").is_visible()
    page.click(".toggle")
    assert page.locator("#strongest canvas >> nth=0").is_visible()
    brightest = page.evaluate(
        "[...document.querySelectorAll('#strongest canvas')].map(canvas => {"
        " const data = canvas.getContext('2d').getImageData(0, 0, 4, 4).data;"
        " const light = [...Array(16).keys()].map(i => data[4 * i] + data[4 * i + 1] + data[4 * i + 2]);"
        " return light.indexOf(Math.max(...light)) })"
    )
    assert brightest == record["strongest_token"]
    page.keyboard.press("o")
    assert not page.locator("#strongest canvas >> nth=0").is_visible()


def test_compare_across_runs_and_kinds(visit: Visit) -> None:
    page = visit.open("#/compare/made_vit/blocks.1.mlp?units=0,2")
    assert page.locator(".compare tbody tr").count() == 4  # two fits, two trials
    assert page.locator(".compare thead th").all_inner_texts() == ["", "0", "2"]
    assert "regularize.tv 0.4" in page.inner_text(".compare")
    page.select_option("#by", "kinds")
    visit.arrive("#/compare/made_vit/blocks.1.mlp?by=kinds&units=0%2C2")
    assert [text.split()[0] for text in page.locator(".compare tbody th").all_inner_texts()] == ["mlp", "attn"]


def test_evil_names_show_as_text(visit: Visit) -> None:
    page = visit.open()
    assert made.XSS.replace("/", "") in page.inner_text("table")
    visit.open(f"{SITE}/7")
    assert made.XSS in page.inner_text("#strongest")
    visit.open("#/compare/made_vit/blocks.1.mlp")
    assert made.XSS.replace("/", "") in page.inner_text(".compare")
    assert page.evaluate("window.hacked") is None


def test_evil_file_names_show_as_text(browser, runs: list[Path], tmp_path: Path) -> None:
    done = write_atlas([runs[2]], tmp_path / "atlas", paths=True)
    context = browser.new_context()
    visitor = Visit(context.new_page(), done.path)
    page = visitor.open(f"{SITE}/7")
    assert f"/data/{made.XSS}.jpg" in page.inner_text("#strongest")
    assert page.evaluate("window.hacked") is None
    assert visitor.complaints == []
    context.close()


def test_wrong_links_say_so(visit: Visit) -> None:
    page = visit.open(f"{SITE}/999")
    assert "no unit 999" in page.inner_text("main")
    visit.open("#/made_vit/nowhere")
    assert "no site nowhere" in page.inner_text("main")


def test_without_javascript_there_are_layers_charts_tables_and_all_sheets(browser, atlas: Atlas) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(atlas.path.as_uri())
    assert page.locator("a.cell img").count() == 8
    assert page.locator("svg.chart").count() == 2 * 4 + 2  # two recipes that reach three depths, the evaluation
    assert "normalised top-5" in page.inner_text("main")
    assert page.locator("noscript img.sheet, img.sheet").count() >= 8
    context.close()


def test_a_long_site_scrolls_without_blanks(browser, tmp_path: Path) -> None:
    run = made.write_fit(tmp_path / "run", depths=1, units=3072, kinds=("mlp",), seeds=(0,), side=16, strips=False)
    done = write_atlas([run], tmp_path / "atlas", tile=32)
    context = browser.new_context(viewport={"width": 1000, "height": 700})
    visitor = Visit(context.new_page(), done.path)
    page = visitor.open("#/made_vit/blocks.0.mlp")
    for position in (0, 1536, 3071):
        page.evaluate(
            "share => new Promise(done => { scrollTo(0, share * document.documentElement.scrollHeight);"
            " requestAnimationFrame(() => requestAnimationFrame(done)) })", position / 3071)  # fmt: skip
        positions, top, bottom, height = page.evaluate(
            "() => { const tiles = [...document.querySelectorAll('.tile')];"
            " const boxes = tiles.map(tile => tile.getBoundingClientRect());"
            " return [tiles.map(tile => +tile.dataset.position).sort((a, b) => a - b),"
            "  Math.min(...boxes.map(box => box.top)), Math.max(...boxes.map(box => box.bottom)), innerHeight] }"
        )
        assert positions == list(range(positions[0], positions[-1] + 1))
        assert top <= 0 or positions[0] == 0
        assert bottom >= height or positions[-1] == 3071
        assert positions[0] <= position <= positions[-1]
        assert len(positions) < 400  # only those near the window exist
    assert visitor.complaints == []
    context.close()


def test_an_evaluation_alone_is_the_first_page(browser, runs: list[Path], tmp_path: Path) -> None:
    done = write_atlas([runs[3]], tmp_path / "atlas")
    context = browser.new_context()
    visitor = Visit(context.new_page(), done.path)
    visitor.page.goto(done.path.as_uri())
    visitor.page.wait_for_selector('[data-view="evaluation"][data-ready]:not([hidden])')
    assert "31.59" in visitor.page.inner_text("main")
    assert visitor.complaints == []
    context.close()


def test_compare_shows_units_of_each_site_unless_some_are_named(visit: Visit) -> None:
    page = visit.open("#/compare/made_vit/blocks.1.mlp?by=depth")
    rows = page.locator(".compare tbody tr")
    assert rows.count() == 4
    assert rows.nth(0).locator(".pair span:first-child").all_inner_texts() == [str(unit) for unit in range(10)]
    page.fill("#units", "7,2")
    page.press("#units", "Enter")
    visit.arrive("#/compare/made_vit/blocks.1.mlp?by=depth&units=7%2C2")
    assert page.locator(".compare thead th").all_inner_texts() == ["", "7", "2"]


def test_units_known_by_photo_alone_stand_in_the_same_grid(browser, runs: list[Path], tmp_path: Path) -> None:
    fit = made.write_fit(tmp_path / "fit", depths=2, units=4, kinds=("mlp",), seeds=(0,), strips=False)
    done = write_atlas([fit, runs[2]], tmp_path / "atlas")
    context = browser.new_context(viewport={"width": 1000, "height": 700})
    visitor = Visit(context.new_page(), done.path)
    page = visitor.open(SITE)
    assert "4 units have an image; the other 8" in page.inner_text('[data-view="site"]')
    corners = page.eval_on_selector_all(
        ".tile",
        "tiles => tiles.sort((a, b) => a.dataset.position - b.dataset.position)"
        ".map(tile => tile.getBoundingClientRect()).map(box => [box.left, box.top])",
    )
    columns = len({left for left, _ in corners})
    rows = sorted({top for _, top in corners})
    assert len(corners) == 12 and 1 < columns < 12
    assert [rows.index(top) for _, top in corners] == [place // columns for place in range(12)]
    page.select_option("#show", "photo")
    assert keys(page) == [str(unit) for unit in range(4, 12)]
    page = visitor.open(f"{SITE}/7")
    assert page.inner_text("#command") == "python -m vitvis.fit 'units=[blocks.1.mlp:7]'"
    assert page.locator(".hero figure").count() == 2  # the photo and its map
    assert visitor.complaints == []
    context.close()
