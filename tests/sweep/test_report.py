"""The comparison: the sheet shows what the runs hold, where it should; the chart copes with any setting."""

import io

import numpy as np
import pytest
from PIL import Image

from vitvis.draw.comparison import Cell, Heading, comparison_sheet
from vitvis.sweep.charts import draw_chart, ordered_values, text_of
from vitvis.sweep.grid import sheet_order
from vitvis.sweep.report import Comparison, table_rows
from vitvis.sweep.spec import Metric
from vitvis.sweep.trials import Trial, sort_trials

METRIC = Metric("summary/score", "maximize")


def trial(name, value, **settings):
    return Trial(name, f"runs/{name}", settings, "complete", value, {"strength": 0.5, "clearness": 0.7})


def test_the_sheet_puts_each_picture_in_its_row_and_column(tmp_path):
    colours = {(0, 0): (255, 0, 0), (0, 1): (0, 255, 0), (1, 1): (0, 0, 255)}
    cells = {}
    for place, colour in colours.items():
        path = tmp_path / f"{place[0]}{place[1]}.png"
        Image.new("RGB", (20, 10), colour).save(path)
        cells[place] = Cell(path, "0.5", "dead" if place == (1, 1) else "ok")
    columns = [Heading(("tv=0",), "0.1"), Heading(("tv=1",), "0.9", best=True)]
    sheet = np.asarray(comparison_sheet(columns, [Heading(("a:0",)), Heading(("a:1",))], cells, title="T", tile=60))
    found = {place: np.argwhere((sheet == colour).all(-1)) for place, colour in colours.items()}
    assert len(found[0, 0]) == len(found[0, 1]) == 60 * 30  # a 2:1 picture fills the width of its tile
    assert found[0, 0][:, 0].min() == found[0, 1][:, 0].min() and found[0, 0][:, 1].max() < found[0, 1][:, 1].min()
    assert len(found[1, 1]) == 0  # a dead unit is dimmed, not shown as if it were fine
    assert np.array_equal(sheet, np.asarray(comparison_sheet(columns, [Heading(("a:0",)), Heading(("a:1",))], cells,
                                                             title="T", tile=60)))  # fmt: skip


@pytest.mark.parametrize(
    "settings",
    [
        [{"a": 0.0}, {"a": 1e-4}, {"a": 0.1}],
        [{"a": 1.0}, {"a": 2.0}, {"a": 3.0}],
        [{"a": None}, {"a": 2}, {"a": 3}],
        [{"a": True}, {"a": None}],
        [{"a": "pixel", "b": 0.1}, {"a": "fourier", "b": 0.1}, {"a": "pixel", "b": 0.2}],
        [{"a": [1, 2], "b": {"c": 1}, "d": False}, {"a": [3], "b": None, "d": True}],
        [{"a": float(i), "b": 10.0**-i, "c": i % 2 == 0} for i in range(8)],
    ],
)
@pytest.mark.parametrize("goal", ["maximize", "minimize"])
def test_a_chart_for_any_settings(settings, goal):
    trials = [trial(str(i), 0.1 * i, **item) for i, item in enumerate(settings)]
    trials.append(Trial("f", None, settings[0], "failed"))
    with Image.open(io.BytesIO(draw_chart(trials, Metric("summary/score", goal)))) as image:
        assert np.asarray(image.convert("L")).std() > 5


def test_no_chart_of_one_value():
    assert draw_chart([trial("0", 0.5, a=1)], METRIC) is None and draw_chart([], METRIC) is None


def test_trials_are_ordered_by_goal_with_the_failed_last():
    trials = [trial("a", 0.2, x=1), Trial("b", None, {"x": 2}, "failed"), trial("c", 0.9, x=0)]
    assert [item.name for item in sort_trials(trials, METRIC)] == ["c", "a", "b"]
    assert [item.name for item in sort_trials(trials, Metric("m", "minimize"))] == ["a", "c", "b"]
    rows = table_rows(Comparison("n", trials, METRIC))
    assert [row["summary/score"] for row in rows] == [0.9, 0.2, None]
    assert list(rows[0]) == ["trial", "x", "summary/score", "strength", "clearness", "seconds", "state", "error"]
    assert Comparison("n", trials[1:2], METRIC).winner is None


def test_one_number_is_shown_in_its_order_and_only_the_best_fit_on_the_sheet():
    trials = [trial(str(i), value, x=x) for i, (x, value) in enumerate([(3, 0.1), (1, 0.5), (2, 0.9)])]
    assert [item.settings["x"] for item in sheet_order(trials, METRIC, 9)] == [1, 2, 3]
    assert [item.settings["x"] for item in sheet_order(trials, METRIC, 2)] == [1, 2]


def test_values_in_words():
    assert [text_of(value) for value in (None, True, 1e-4, "a", [1], 3)] == ["null", "true", "0.0001", "a", "[1]", "3"]
    assert ordered_values([3, None, 1, 3]) == [None, 1, 3] and ordered_values(["b", "a"]) == ["b", "a"]
