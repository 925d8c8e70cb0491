"""The notebooks of docs/notebooks: they run, what they find is so, and what is shipped is small and private."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nbclient", reason="needs nbclient")
pytest.importorskip("ipykernel", reason="needs ipykernel")
pytest.importorskip("skimage", reason="needs scikit-image")
FOLDER = Path(__file__).resolve().parents[2] / "docs" / "notebooks"
NAMES = ("dictionary", "quickstart", "regularisation", "your-model")


@pytest.fixture(scope="module")
def tool() -> Any:
    spec = importlib.util.spec_from_file_location("execute", FOLDER / "execute.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(tool: Any, name: str, folder: Path, less: dict[str, str], facts: str) -> tuple[Any, dict[str, Any]]:
    """Execute a notebook with less work; return it and the dictionary that the expression `facts` makes at its end."""
    from nbformat.v4 import new_code_cell

    notebook = tool.read(name)
    for pattern, text in less.items():
        found = 0
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.source, count = re.subn(pattern, text, cell.source)
                found += count
        assert found, f"{name}: nothing to make less of: {pattern}"
    notebook.cells.append(new_code_cell(f"import json\nprint(json.dumps({facts}))"))
    done = tool.execute(notebook, folder)
    assert tool.complaints(done) == []
    return done, json.loads(done.cells[-1].outputs[-1]["text"])


def html_of(notebook: Any) -> str:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "\n".join(output.get("data", {}).get("text/html", "") for output in outputs)


def test_quickstart(tool: Any, tmp_path: Path) -> None:
    done, facts = run(
        tool, "quickstart", tmp_path, {r"~4\"": '~2", steps=40', r"range\(50\)": "range(8)"},
        "{'means': activations[:, 1:, int(unit)].mean(1).tolist(), 'units': atlas.units, 'run': len(run),"
        " 'photos': search.record(chosen['address'])['strongest_activation'][:5]}",
    )  # fmt: skip
    assert facts["run"] == 8 and facts["units"] == 4 * 768
    assert facts["means"][0] > max(facts["means"][1:])  # the picture beats all photos
    # the tap reads from thumbnails what the search has read from the photos
    assert facts["means"][1:] == pytest.approx(facts["photos"], rel=0.5)
    assert (tmp_path / "out/quickstart-atlas/index.html").is_file()
    shown = html_of(done)
    assert 'href="out/quickstart/atlas/index.html"' in shown
    assert shown.count("<img") >= 1 + 1 + 9  # the sheet; the picture and the photos of the panel


def test_your_model(tool: Any, tmp_path: Path) -> None:
    _, facts = run(
        tool, "your-model", tmp_path, {"steps=200": "steps=80", "steps=120": "steps=10"},
        "{'accuracy': accuracy, 'said': said.argmax(1).tolist(), 'units': [r['unit'] for r in run]}",
    )  # fmt: skip
    assert facts["accuracy"] > 0.9
    assert facts["units"] == list(range(10))
    assert sum(said == unit for unit, said in zip(facts["units"], facts["said"], strict=True)) >= 8


def test_regularisation(tool: Any, tmp_path: Path) -> None:
    _, facts = run(
        tool, "regularisation", tmp_path, {"steps=60": "steps=25", r"head:3,66,121": "head:3"},
        "{'decay': [fmean(r['hf_share'] for r in d) for d in decays.values()],"
        " 'recipes': {n: fmean(r['hf_share'] for r in d) for n, d in runs.items()},"
        " 'mirror': [[str(d.path / r['image']) for r in d] for d in mirrored.values()]}",
    )  # fmt: skip
    assert facts["decay"] == sorted(facts["decay"], reverse=True)
    assert facts["recipes"]["pixels"] > 3 * facts["recipes"]["the default"]
    import numpy as np
    from PIL import Image

    def asymmetry(path: str) -> float:
        picture = np.asarray(Image.open(tmp_path / path).convert("RGB"), float) / 255
        return float(np.square(picture - picture[:, ::-1]).mean())

    free, held = ([asymmetry(path) for path in paths] for paths in facts["mirror"])
    assert all(after < 0.5 * before for before, after in zip(free, held, strict=True))


def test_dictionary(tool: Any, tmp_path: Path) -> None:
    _, facts = run(
        tool, "dictionary", tmp_path, {r"range\(60\)": "range(20)", "images=4000": "images=1200",
                                       "steps=100": "steps=30", "holdout=120": "holdout=40"},
        "{'summary': sae.summary, 'fits': [[r['address'], r['activation'], r['activation_start']] for r in run],"
        " 'labels': {a: sorted({search.images[i]['label_name'] for i in search.record(a)['strongest_index']})"
        " for a in chosen.values()}}",
    )  # fmt: skip
    assert facts["summary"]["latents"] == 768 and facts["summary"]["l0"] <= 8
    assert facts["summary"]["explained_variance"] > 0.5
    assert all(len(names) == 1 for names in facts["labels"].values())
    assert {address for address, *_ in facts["fits"]} == set(facts["labels"])
    assert sum(end > start for _, end, start in facts["fits"]) >= 0.8 * len(facts["fits"])


def test_all_are_tested(tool: Any) -> None:
    assert tuple(tool.names()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_shipped_outputs_are_whole_small_and_tell_no_path(tool: Any, name: str) -> None:
    assert (FOLDER / f"{name}.ipynb").stat().st_size < 600_000
    notebook = tool.read(name)
    assert tool.complaints(notebook) == []
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert all(output["output_type"] != "error" for cell in code for output in cell.outputs)
    pictures = json.dumps([cell.outputs for cell in code]).count("data:image/") + sum(
        any(kind.startswith("image/") for kind in output.get("data", {})) for cell in code for output in cell.outputs
    )
    assert pictures >= 2


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(tool: Any, name: str) -> None:
    for cell in tool.read(name).cells:
        if cell.cell_type == "markdown":
            for target in re.findall(r"\]\(([^)#]+)", cell.source):
                assert (FOLDER / target).exists(), target


def test_complaints_are_found(tool: Any) -> None:
    from nbformat.v4 import new_code_cell, new_notebook, new_output

    told = new_output("stream", name="stdout", text="saved in /home/me/out/x.png, see https://example.org/home/page")
    warned = new_output("stream", name="stderr", text="Careful")
    found = tool.complaints(new_notebook(cells=[new_code_cell(outputs=[told, warned])]))
    assert found == ["cell 0: /home/me/out/x.png", "cell 0: Careful"]
