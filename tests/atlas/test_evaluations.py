"""Evaluations in an atlas: bars where variants are apart, curves where a probe has an axis, sizes side by side."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from vitvis.atlas.evaluations import read_evaluation
from vitvis.atlas.model import Run
from vitvis.errors import VitvisError
from vitvis.runs import RunFolder, write_file


def write(path: Path, probe: str, variants: dict[str, float], sizes: list[dict[str, Any]] | None = None) -> Run:
    rows = [
        {"model": model, "variant": variant, "fill": None, "n": 100, "top1": value / 2, "top5": value}
        for model in ("vit", "<b>resnet</b>")
        for variant, value in variants.items()
    ]
    with RunFolder.open(path, kind="evaluate", settings={}, identity={}) as run:
        run.write_json("results.json", {"about": {"probe": probe}, "rows": rows, "by_box_size": sizes or []})
        return Run("r0", path.name, path, "evaluate", run.manifest)


@pytest.mark.parametrize(("probe", "word"), [("lowpass", "radius"), ("tokens", "isolated until")])
def test_probes_with_an_axis_are_curves(probe: str, word: str, tmp_path: Path) -> None:
    whole = "full" if probe == "lowpass" else "natural"
    run = write(tmp_path / "run", probe, {whole: 80.0, f"{word} 2": 10.0, f"{word} 8": 40.0, f"{word} 32": 79.0})
    found = read_evaluation(run, lambda value: value)
    assert found is not None
    curve, bars = found["charts"][:2]
    assert curve["title"] == bars["title"] == "Top-5 accuracy, %"
    assert list(curve["legend"]) == ["vit", "<b>resnet</b>"]
    assert "<b>" not in curve["svg"] and "&lt;b&gt;resnet" in curve["svg"]
    points = [
        [float(value) for pair in line.split() for value in pair.split(",")]
        for line in re.findall(r'points="([^"]+)"', curve["svg"])
    ]
    assert len(points) == 2
    x, y = points[0][::2], points[0][1::2]
    assert (x[1] - x[0]) / (x[2] - x[0]) == pytest.approx(6 / 30, abs=0.01)  # radii lie on an even axis
    assert (y[0] - y[1]) / (y[0] - y[2]) == pytest.approx(30 / 69, abs=0.01)
    assert bars["svg"].count('class="bar-shape') == 2  # the whole image, once a model


def test_bars_share_a_scale_that_begins_at_zero(tmp_path: Path) -> None:
    found = read_evaluation(write(tmp_path / "run", "masks", {"full": 60.0, "foreground": 30.0}), lambda value: value)
    assert found is not None
    widths = [float(width) for width in re.findall(r'bar-shape c\d" [^>]*?width="([\d.]+)"', found["charts"][0]["svg"])]
    assert widths[1] == pytest.approx(widths[0] / 2, abs=0.1)
    assert widths[:2] == widths[2:]


def test_sizes_of_objects_become_columns(tmp_path: Path) -> None:
    sizes = [
        {"size": size, "model": model, "variant": "full", "fill": None, "n": number, "top1": number / 10}
        for size, number in (("small", 100), ("large", 300))
        for model in ("vit", "resnet")
    ]
    found = read_evaluation(write(tmp_path / "run", "masks", {"full": 60.0}, sizes), lambda value: value)
    assert found is not None
    assert found["sizes"]["sizes"] == {"small": 100, "large": 300}
    assert [[cell["top1"] for cell in row["cells"]] for row in found["sizes"]["rows"]] == [[10.0, 30.0], [10.0, 30.0]]


def test_results_that_are_not_there_are_none(tmp_path: Path) -> None:
    run = write(tmp_path / "run", "masks", {"full": 60.0})
    write_file(run.path, "results.json", b'{"rows": []}')
    assert read_evaluation(Run("r0", "run", run.path, "evaluate", {}), lambda value: value) is None
    (run.path / "results.json").unlink()
    assert read_evaluation(run, lambda value: value) is None


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"rows": [1]}', '{"rows": [{"model": 1, "variant": 2, "top1": "x"}]}']
)
@pytest.mark.parametrize("ours", [True, False])
def test_damaged_results_are_one_line(content: str, ours: bool, tmp_path: Path) -> None:
    run = write(tmp_path / "run", "masks", {"full": 60.0})
    if ours:
        write_file(run.path, "results.json", content.encode())
    else:
        (run.path / "results.json").write_text(content)
    with pytest.raises(VitvisError, match="results.json"):
        read_evaluation(Run("r0", "run", run.path, "evaluate", {}), lambda value: value)
