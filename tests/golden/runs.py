"""What the golden tests hold on to: small runs of the commands, and a few facts about the files that they leave.

Everything goes through the command line, and is read from files by plain libraries, so that the code may move.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from tests.golden.photos import write_boxes, write_classes
from vitvis.cli import main

__all__ = ["FACTS", "RECIPES", "deviations", "picture_facts"]

CPU = ["trainer.accelerator=cpu", "trainer.precision=32-true", "trainer.progress=none"]
UNITS = "units=blocks.1.mlp:17,blocks.10.mlp:42,head:5"
FIT = ["fit", *CPU, UNITS, "steps=6", "chunk=4"]
#: Which recipe, and the words that ask for it.
RECIPES = {
    "default": [],
    "activation": ["recipe=activation"],
    "pixel": ["recipe=activation", "optim.lr=null", "image.kind=pixel"],
    "phase": ["recipe=activation", "optim.lr=null", "image.kind=phase"],
    "ghiasi2022": ["recipe=ghiasi2022"],
}
SWEEP = """
name: golden
program: vitvis/fit.py
method: grid
metric: {name: summary/score, goal: maximize}
parameters:
  regularize.tv: {values: [0.0, 0.4]}
command: ["${env}", "${interpreter}", -m, vitvis.fit, "${args_no_hyphens}"]
"""
#: Where the four pixels are, as shares of height and width.
PIXELS = ((0.25, 0.25), (0.25, 0.75), (0.5, 0.5), (0.75, 0.25))
#: Where bands of frequency end, in cycles a pixel.
BANDS = (0.0625, 0.125, 0.25, 1.0)

Facts = dict[str, Any]


def run(command: list[str], folder: Path) -> Path:
    """Run a command with `out=` a folder; return the folder."""
    status = main([*command[:1], f"out={folder}", *command[1:]])
    if status != 0:
        raise RuntimeError(f"vitvis {' '.join(command)} ended with {status}")
    return folder


def records(folder: Path) -> dict[str, Facts]:
    """Return the records of a run by unit."""
    rows = [row for path in sorted((folder / "records").iterdir()) for row in pq.read_table(path).to_pylist()]
    return {row["address"]: row for row in sorted(rows, key=lambda row: row["address"])}


def picture_facts(path: Path) -> Facts:
    """Return a few numbers of an image; levels are 0..255, bands are shares of the energy without the mean colour."""
    image = np.asarray(Image.open(path).convert("RGB")).astype(float)
    height, width = image.shape[:2]
    energy = np.abs(np.fft.fft2(image - image.mean((0, 1)), axes=(0, 1))) ** 2
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    bands = np.digitize(radius, BANDS, right=True)
    return {
        "mean": image.mean((0, 1)).tolist(),
        "std": image.std((0, 1)).tolist(),
        "pixels": [image[int(row * height), int(column * width)].tolist() for row, column in PIXELS],
        "bands": [energy[bands == band].sum() / energy.sum() for band in range(len(BANDS))],
    }


def fit_facts(name: str, folder: Path) -> Facts:
    """Fit three units with a recipe: their pictures, and what their records say."""
    made = run([*FIT, *RECIPES[name]], folder / f"fit-{name}")
    kept = ("status", "activation_start", "activation", "hf_share", "tv", "site_width", "steps")
    found = records(made).items()
    return {
        unit: picture_facts(made / row["image"]) | {key: row[key] for key in kept} | {"log_rank": np.log2(row["rank"])}
        for unit, row in found
    }


def search_run(folder: Path) -> Path:
    """Search sixteen photos for three units, once."""
    if (folder / "search").is_dir():
        return folder / "search"
    command = ["search", *CPU, UNITS, f"data=imagefolder:{write_classes(folder / 'classes')}", "k=3", "sample=12"]
    return run([*command, "per_decile=1", "workers=0", "strips=none"], folder / "search")


def search_facts(folder: Path) -> Facts:
    """Search a folder of photos: which photos are strongest, weakest and between, and the histogram's total."""
    made = search_run(folder)
    keys = {row["index"]: Path(row["key"]).stem for row in pq.read_table(made / "images.parquet").to_pylist()}
    facts = {}
    for unit, row in records(made).items():
        facts[unit] = {key: row[key] for key in ("count", "mean", "std", "positive_share")}
        facts[unit]["histogram_total"] = sum(row["hist_counts"])
        for which in ("strongest", "weakest", "decile"):
            facts[unit][f"{which}_photos"] = [keys[index] for index in row[f"{which}_index"]]
            facts[unit][f"{which}_activation"] = row[f"{which}_activation"]
    return facts


def evaluate_facts(folder: Path) -> Facts:
    """Measure both bundled models on photos with boxes: the tables."""
    data = write_boxes(folder / "boxes")
    command = ["evaluate", *CPU, f"data=folder:{data}", "fill=[black,mean]", "bootstrap=500", "workers=0"]
    made = run(command, folder / "evaluate")
    return {name: _table(made / f"{name}.csv") for name in ("results", "per_class")}


def sweep_facts(folder: Path) -> Facts:
    """Run a sweep of two trials of three steps: the order of trials, the columns of the table, the best recipe."""
    spec = folder / "golden.yaml"
    spec.write_text(SWEEP)
    trial = [
        "--",
        *CPU,
        "recipe=activation",
        "steps=3",
        "image.kind=pixel",
        "optim.lr=0.1",
        "units=blocks.1.mlp:17,head:5",
        "chunk=4",
    ]
    made = run(["sweep", str(spec), "devices=cpu", "workers=1", *trial], folder / "sweep")
    rows = _table(made / "trials.csv")
    names = ("trials.parquet", "trials.csv", "sheet.png", "chart.png", "best.yaml", "index.html", "atlas/index.html")
    return {
        "columns": list(rows[0]),
        "rows": [{key: value for key, value in row.items() if key != "seconds"} for row in rows],
        "files": [name for name in names if (made / name).is_file()],
    }


def atlas_facts(folder: Path) -> Facts:
    """Write an atlas of a fit and a search: its files, and the records in its data."""
    fit = folder / "fit-activation"
    if not fit.is_dir():
        run([*FIT, *RECIPES["activation"]], fit)
    made = run(["atlas", str(fit), str(search_run(folder))], folder / "atlas")
    data = {path.stem: _script(path) for path in sorted((made / "data").glob("*.js"))}
    volatile = {"seconds", "colour", "commands", "m", "hist"}  # m: 64 bytes of a map, each rounded
    return {
        "files": sorted(path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file()),
        "backbones": data.pop("atlas")["backbones"],
        "sites": _without(data, volatile),
    }


#: What is held on to: a name, and how its facts are made in a folder.
FACTS = {
    **{f"fit {name}": lambda folder, name=name: fit_facts(name, folder) for name in RECIPES},
    "search": search_facts,
    "evaluate": evaluate_facts,
    "sweep": sweep_facts,
    "atlas": atlas_facts,
}


def deviations(expected: Any, found: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """Yield where two trees differ: path, expected, found. What is there beyond the expected keys may be there."""
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        for key, value in expected.items():
            yield from deviations(value, found.get(key), (*path, str(key)))
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for index, (one, other) in enumerate(zip(expected, found, strict=True)):
            yield from deviations(one, other, (*path, str(index)))
    elif expected != found:
        yield path, expected, found


def _table(path: Path) -> list[Facts]:
    with open(path, newline="", encoding="utf-8") as file:
        return [{key: _number(value) for key, value in row.items()} for row in csv.DictReader(file)]


def _number(text: str) -> float | str:
    return float(text) if re.fullmatch(r"-?(0|[1-9]\d*)(\.\d+)?(e-?\d+)?", text) else text


def _script(path: Path) -> Any:
    """Return the data of a script `vitvis.put("name",DATA);`."""
    return json.loads(path.read_text().split(",", 1)[1].rstrip().removesuffix(");"))


def _without(tree: Any, names: set[str]) -> Any:
    if isinstance(tree, Mapping):
        return {key: _without(value, names) for key, value in tree.items() if key not in names}
    return [_without(item, names) for item in tree] if isinstance(tree, list) else tree
