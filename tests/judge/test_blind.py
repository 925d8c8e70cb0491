"""The blind page, clicked through by a browser, and the scores of what it saved."""

from __future__ import annotations

import base64
import doctest
import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vitvis.judge
from tests import axe
from vitvis.errors import VitvisError
from vitvis.judge import answers
from vitvis.judge.answers import score_answers, wilson
from vitvis.judge.blind import open_key, seal_key


@pytest.fixture(scope="module")
def page(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("blind") / "page"
    argv = [f"blind={out}", f"run=[{made / 'fit'},{made / 'other'}]", f"search={made / 'search'}", "trials=10"]
    assert vitvis.judge.COMMAND.main(argv) == 0
    return out / "index.html"


def study(page: Path) -> dict:
    text = page.read_text()
    return json.loads(text.partition('id="study">')[2].partition("</script>")[0])


def test_nothing_on_the_page_tells_what_is_what(page: Path) -> None:
    told = study(page)
    shown = page.read_text().replace(told["key"], "")
    for word in ("blocks.3", "head:", "fit", "other", "strongest", "easy"):
        assert word not in shown.partition('id="study"')[2], word
    names = [path.name for path in (page.parent / "images").iterdir()]
    assert all(len(name) == len("0123456789ab.webp") for name in names)
    for path in (page.parent / "images").iterdir():  # what fit writes into its PNGs does not come along
        with Image.open(path) as image:
            assert not {"settings", "unit", "exif"} & set(image.info)
    kinds = [trial["kind"] for trial in told["trials"]]
    assert len(kinds) == 10 and set(kinds) == {"photo", "pair"}


def test_sides_are_random(made: Path, tmp_path: Path) -> None:
    argv = [f"blind={tmp_path / 'many'}", f"run=[{made / 'fit'},{made / 'other'}]", f"search={made / 'search'}",
            "trials=400"]  # fmt: skip
    assert vitvis.judge.COMMAND.main(argv) == 0
    key = open_key(study(tmp_path / "many" / "index.html")["key"])
    right = [entry["right"] == "left" for entry in key if entry["kind"] == "photo"]
    assert 0.25 < np.mean(right) < 0.75 and {entry["level"] for entry in key if entry["kind"] == "photo"} == {
        "easy",
        "hard",
    }
    assert {entry["left"] for entry in key if entry["kind"] == "pair"} == {"fit", "other"}


@pytest.mark.browser
def test_a_person_answers_by_keys_and_mouse_and_saves_a_file(browser, page: Path, tmp_path: Path) -> None:
    key = open_key(study(page)["key"])
    context = browser.new_context(viewport={"width": 1000, "height": 760}, accept_downloads=True)
    tab = context.new_page()
    complaints: list[str] = []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    requests: list[str] = []
    tab.on("request", lambda request: requests.append(request.url))
    tab.goto(page.as_uri())
    assert tab.inner_text("#count") == "Question 1 of 10"
    tab.keyboard.press("ArrowLeft")
    tab.keyboard.press("Backspace")  # taken back
    wanted = [entry["right"] if entry["kind"] == "photo" else "left" for entry in key]
    for place, side in enumerate(wanted):
        tab.wait_for_selector(f'body[data-trial="{place}"]')
        assert tab.evaluate("[...document.images].filter(i => i.offsetParent).every(i => i.alt)")
        if place == 5:
            tab.reload()  # answers are kept
            assert tab.inner_text("#count") == "Question 6 of 10"
        if place % 2:
            tab.click(f"#{side}")
        else:
            tab.keyboard.press({"left": "1", "right": "ArrowRight"}[side])
    assert tab.inner_text("#count") == "All answered"
    with tab.expect_download() as waiting:
        tab.keyboard.press("Enter")  # the button that saves has the focus
    file = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(file)
    context.close()
    assert complaints == [] and all(url.startswith(("file:", "blob:")) for url in requests)
    assert [answer["choice"] for answer in json.loads(file.read_text())["answers"]] == wanted
    found = score_answers([file])
    assert all(share.value == 1 for (_, level), share in found["photo"].items())
    assert (
        sum(share.count for (_, level), share in found["photo"].items() if level == "all")
        + sum(share.count for share in found["pair"].values())
        == 10
    )


def write(path: Path, keys: list[dict[str, str]], choices: list[str]) -> Path:
    told = [{"trial": place, "choice": choice} for place, choice in enumerate(choices)]
    path.write_text(json.dumps({"key": seal_key(keys), "answers": told}))
    return path


def test_answers_are_counted_by_run_level_and_pair(tmp_path: Path, capsys) -> None:
    photo = {"kind": "photo", "unit": "head:0", "run": "A", "level": "easy", "right": "left"}
    pair = {"kind": "pair", "unit": "head:0", "left": "B", "right": "A"}
    keys = [photo, {**photo, "level": "hard"}, {**photo, "run": "B"}, pair, {**pair, "left": "A", "right": "B"}]
    one = write(tmp_path / "one.json", keys, ["left", "right", "left", "left", "left"])
    two = write(tmp_path / "two.json", keys, ["left", "left", "right", "right", "left"])
    found = score_answers([one, two])
    assert found["photo"]["A", "all"] == wilson(3, 4) and found["photo"]["A", "hard"] == wilson(1, 2)
    assert found["photo"]["B", "easy"] == wilson(1, 2)
    assert found["pair"]["A", "B"] == wilson(3, 4)
    assert vitvis.judge.COMMAND.main([f"answers=[{one},{two}]"]) == 0
    printed = capsys.readouterr().out
    assert "A: all 75 % [30, 95] of 4" in printed and "A preferred to B: 75 %" in printed


def test_interval_is_wilsons_and_covers() -> None:
    assert doctest.testmod(answers).failed == 0
    draw = np.random.default_rng(0)
    hits = draw.binomial(12, 0.8, size=3000)
    covered = [found.low <= 0.8 <= found.high for found in (wilson(int(hit), 12) for hit in hits)]
    assert 0.92 < np.mean(covered) < 0.99


def test_files_of_others_are_refused_in_one_line(made: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "b.json").write_text(json.dumps({"key": "x", "answers": []}))
    wrong = write(tmp_path / "c.json", [{"kind": "photo"}], ["up"])
    no_side = write(tmp_path / "d.json", [{"kind": "pair", "left": "a"}], ["left"])
    (tmp_path / "deep.json").write_text("[" * 9999)
    zipped = base64.b64encode(zlib.compress(bytes(30_000_000))).decode()
    (tmp_path / "bomb.json").write_text(json.dumps({"key": zipped, "answers": []}))
    for path in (
        tmp_path / "a.json",
        tmp_path / "b.json",
        wrong,
        no_side,
        *tmp_path.glob("[bd]*.json"),
        tmp_path / "z",
    ):
        assert vitvis.judge.COMMAND.main([f"answers={path}"]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep")
    assert vitvis.judge.COMMAND.main([f"blind={tmp_path / 'full'}", f"run={made / 'fit'}"]) == 2
    assert (tmp_path / "full" / "mine.txt").read_text() == "keep"
    assert vitvis.judge.COMMAND.main([f"blind={tmp_path / 'new'}", f"run={made / 'fit'}"]) == 2  # nothing to ask
    assert "search=" in capsys.readouterr().err
    with pytest.raises(VitvisError, match="run="):
        vitvis.judge.run(run=[])


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_page_is_accessible(browser, page: Path, theme: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 800}, color_scheme=theme)
    tab = context.new_page()
    tab.goto(page.as_uri())
    tab.wait_for_selector("body[data-trial]")
    assert axe.faults(tab) == []
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for _ in range(10):
        tab.keyboard.press("ArrowLeft")
    tab.wait_for_selector("#end:not([hidden])")
    assert axe.faults(tab) == []
    context.close()
