"""What a person does with the map, done by a real browser on `file://`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.atlas import made_runs as made
from tests.atlas.conftest import Visit
from vitvis.atlas import Atlas, write_atlas
from vitvis.config.addresses import split_addresses

pytestmark = pytest.mark.browser
MAP = "#/map/made_vit"


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Atlas:
    folder = tmp_path_factory.mktemp("mapped")
    runs = [
        made.write_fit(folder / "fit", depths=4, units=128, kinds=("mlp",), seeds=(0,), side=32, strips=False),
        made.write_search(folder / "search", depths=4, units=128, kinds=("mlp",)),
    ]
    return write_atlas(runs, folder / "atlas", eye="vitvis_resnet")


@pytest.fixture
def look(browser, mapped: Atlas) -> Iterator[Visit]:
    context = browser.new_context(viewport={"width": 1200, "height": 800}, reduced_motion="reduce")
    visitor = Visit(context.new_page(), mapped.path)
    yield visitor
    context.close()
    assert visitor.complaints == []
    assert [url for url in visitor.requests if not url.startswith(("file:", "data:"))] == []


def middle(page) -> tuple[float, float]:
    box = page.locator(".plane").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def view(page) -> list[float]:
    """Return x, y of the upper left corner in cells, and px a cell, from the link."""
    page.wait_for_timeout(400)
    return [float(text) for text in page.url.split("at=")[1].split("&")[0].replace("%2C", ",").split(",")]


def test_it_is_painted_moved_and_zoomed(look: Visit) -> None:
    page = look.open(MAP)
    assert float(page.get_attribute(".plane", "data-painted")) > 0
    x, y = middle(page)
    page.mouse.move(x, y)
    page.mouse.wheel(0, -600)
    zoomed = view(page)
    page.mouse.down()
    page.mouse.move(x - 100, y - 40, steps=4)
    page.mouse.up()
    moved = view(page)
    assert moved[2] == zoomed[2]
    assert (moved[0] - zoomed[0]) * moved[2] == pytest.approx(100, abs=2)
    assert (moved[1] - zoomed[1]) * moved[2] == pytest.approx(40, abs=2)
    page.mouse.wheel(0, -600)
    assert view(page)[2] > zoomed[2]
    assert any("/map/0-" in url for url in look.requests)  # blocks come with the zoom
    page.reload()
    look.arrive(page.evaluate("location.hash"))
    assert view(page)[2] > zoomed[2]


def test_hover_shows_and_click_opens_the_unit_under_the_pointer(look: Visit) -> None:
    page = look.open(MAP)
    x, y = middle(page)
    page.mouse.move(x, y)
    page.wait_for_selector(".card:not([hidden]) b")
    address = page.inner_text(".card b")
    assert page.inner_text(".card").strip() == address  # coloured by nothing, it says nothing else
    assert page.locator(".card img").count() == 1
    page.mouse.click(x, y)
    site, unit = address.split(":")
    look.arrive(f"#/made_vit/{site}/{unit}")
    assert page.inner_text("section:not([hidden]) h1") == address
    near = page.locator("#near a")
    assert near.count() == 10
    page.click("#on-map")
    page.wait_for_selector(".card:not([hidden]) b, .plane[aria-description], .plane[data-painted]")


def test_a_box_and_a_lasso_list_units_whose_addresses_can_be_taken_along(look: Visit) -> None:
    page = look.open(MAP)
    x, y = middle(page)
    page.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text }")
    page.keyboard.down("Shift")
    page.mouse.move(x - 80, y - 60)
    page.mouse.down()
    page.mouse.move(x + 80, y + 60, steps=3)
    page.mouse.up()
    page.keyboard.up("Shift")
    count = int(page.inner_text("#chosen-count").split()[0])
    page.click("#copy-addresses")
    listed = page.evaluate("window.copied").split()
    units = [address for part in listed for address in split_addresses([part])]
    chosen = sum(len(part.split(":")[1].split(",")) for part in units)
    assert chosen == count > 10
    assert all(part.startswith("blocks.") for part in listed)
    page.click('[data-tool="lasso"]')
    page.evaluate("scrollTo(0, 0)")
    x, y = middle(page)  # the list below the map may have made the page scroll
    page.mouse.move(x, y - 160)
    page.mouse.down()
    for dx, dy in ((240, 160), (-240, 160), (0, -158)):
        page.mouse.move(x + dx, y + dy, steps=5)
    page.mouse.up()
    lassoed = int(page.inner_text("#chosen-count").split()[0])
    side = view(page)[2]
    assert lassoed * side**2 == pytest.approx(480 * 320 / 2, rel=0.15)  # the triangle's area


def test_keys_move_from_unit_to_unit_and_open(look: Visit) -> None:
    page = look.open(MAP)
    page.focus(".plane")
    page.keyboard.press("ArrowRight")
    first = page.get_attribute(".plane", "aria-description")
    page.keyboard.press("ArrowRight")
    second = page.get_attribute(".plane", "aria-description")
    assert first and second and first != second
    page.keyboard.press("Enter")
    site, unit = second.split(":")
    look.arrive(f"#/made_vit/{site}/{unit}")


def test_it_can_be_coloured(look: Visit) -> None:
    page = look.open(MAP)
    names = page.locator("#colour option").all_inner_texts()
    assert {"pictures alone", "depth", "selectivity", "high frequencies"} <= set(names)
    pixel = "() => { const c = document.querySelector('.plane'); return [c.width, c.height] }"
    assert min(page.evaluate(pixel)) > 300
    page.select_option("#colour", "depth")
    assert page.locator(".bar .legend .swatch").count() == 4
    page.wait_for_timeout(400)
    assert "colour=depth" in page.url


def test_a_phone_shows_it_without_sideways_scrolling_and_pinches(browser, mapped: Atlas) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    visitor = Visit(context.new_page(), mapped.path)
    page = visitor.open(MAP)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    x, y = middle(page)
    before = view_or_fit(page)
    session = context.new_cdp_session(page)
    touch = lambda kind, apart: session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints":  # noqa: E731
        [{"x": x - apart, "y": y, "id": 1}, {"x": x + apart, "y": y, "id": 2}] if apart else []})  # fmt: skip
    touch("touchStart", 30)
    for apart in (40, 60, 90):
        touch("touchMove", apart)
    touch("touchEnd", 0)
    assert view(page)[2] > 1.8 * before
    page.touchscreen.tap(x, y)
    page.wait_for_selector(".card .link")
    page.tap(".card .link")
    page.wait_for_selector('[data-view="unit"][data-ready]:not([hidden])')
    assert visitor.complaints == []
    context.close()


def view_or_fit(page) -> float:
    page.wait_for_timeout(400)
    return view(page)[2]


def test_without_javascript_it_is_a_picture_with_links(browser, mapped: Atlas) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(mapped.path.as_uri())
    assert page.evaluate("document.querySelector('.plain-map img').complete") in (True, False)
    links = page.locator(".plain-map a")
    assert links.count() == 4
    target = links.first.get_attribute("href")
    assert page.locator(f"details{target}").count() == 1
    context.close()


def test_its_files_are_there(mapped: Atlas) -> None:
    assert (mapped.path.parent / "map" / "0.webp").is_file()
    assert list((mapped.path.parent / "map").glob("0-*-*.webp"))
    assert not Path(mapped.path.parent / "map" / "features").exists()
