"""The page half of the widget in a real browser, with a model that stands for the notebook's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import vitvis.atlas
from tests import axe

pytestmark = pytest.mark.browser
CODE = Path(vitvis.atlas.__file__).parent / "static" / "widget.js"
#: As anywidget hands a model over: values that are got and set, messages, and one event for all changes.
START = """async (code) => {
  const { default: widget } = await import(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
  const values = { sites: [["blocks.1.mlp", 8], ["head", 3]], site: "blocks.1.mlp", unit: 7, steps: 60, decay: 1.25,
    pictures: "", photos: "<p>Photos</p>", state: "ready", done: 0 };
  const heard = new Set();
  window.sent = [];
  window.told = (changes) => { Object.assign(values, changes); heard.forEach((act) => act()); };
  window.values = values;
  const model = { get: (name) => values[name], set: (name, value) => { values[name] = value; },
    save_changes: () => told({}), send: (message) => sent.push(message),
    on: (_, act) => heard.add(act), off: (_, act) => heard.delete(act) };
  window.end = widget.render({ model, el: document.querySelector("main") });
  window.heard = heard;
}"""


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 390, "height": 700})
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.set_content('<!doctype html><html lang="en"><title>Widget</title><main><h1>Widget</h1></main></html>')
    page.evaluate(START, CODE.read_text(encoding="utf-8"))
    yield page
    context.close()
    assert complaints == []


def sent(page: Any) -> list[dict[str, Any]]:
    return [message for message in page.evaluate("sent") if message["fit"]]


def test_sliders_fit_again_and_what_is_dragged_meanwhile_is_fitted_after(page: Any) -> None:
    page.get_by_label("Decay").focus()
    page.keyboard.press("ArrowRight")
    assert [(row["decay"], row["steps"]) for row in sent(page)] == [(1.3, 60)]
    assert page.get_by_role("button").is_disabled()
    assert page.get_by_role("status").inner_text() == "Fitting blocks.1.mlp:7 …"
    page.get_by_label("Steps").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert len(sent(page)) == 1
    page.evaluate("told({ done: 1, pictures: '<img alt=\"Made\">' })")
    assert [(row["decay"], row["steps"]) for row in sent(page)] == [(1.3, 60), (1.3, 80)]  # once, with the last value
    assert page.get_by_alt_text("Made").count() == 1


def test_the_notebook_leaves_its_keys_alone(page: Any) -> None:
    """JupyterLab takes arrow keys for cells unless the focused element itself says no."""
    controls = page.locator("select, input, button")
    assert controls.count() == 5
    assert controls.evaluate_all("all => all.every((one) => one.hasAttribute('data-lm-suppress-shortcuts'))")


def test_a_unit_that_the_site_does_not_have_can_not_be_chosen(page: Any) -> None:
    page.get_by_label("Unit").fill("99")
    page.keyboard.press("Tab")
    assert page.evaluate("values.unit") == 7 and page.get_by_label("Unit").input_value() == "7"
    page.get_by_label("Site").select_option("head")
    assert page.evaluate("[values.site, values.unit]") == ["head", 0]


def test_what_went_wrong_is_said_and_it_leaves_nothing_behind(page: Any) -> None:
    page.evaluate("told({ state: 'head:9: there are 3 units' })")
    assert page.get_by_role("status").inner_text() == "head:9: there are 3 units"
    assert not page.get_by_role("button").is_disabled()
    assert axe.faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.evaluate("end()")
    assert page.evaluate("heard.size") == 0
