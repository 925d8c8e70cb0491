"""Make the pictures of the bundled models' card: every block before and after a training, and class selectivity.

python docs/card_pictures.py --before FOLDER --photos parquet:FILE [--work out/card] [--images docs/images]

FOLDER holds the files that shipped before, `vitvis_vit.safetensors` and `vitvis_resnet.safetensors`; after is what
ships now. Units are drawn by seed, the same in both. What is in the work folder is not made again.
"""

from __future__ import annotations

import argparse
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import Any

from readme_picture import draw

from vitvis import fit, search
from vitvis.data import open_source
from vitvis.findings.charts import Curve, Panel, curve_chart
from vitvis.findings.intervals import mean
from vitvis.findings.measures import chance_of_same, same_label
from vitvis.findings.sheets import write_picture
from vitvis.search import read_search

ROOT = Path(__file__).resolve().parents[1]
#: Sites, FFN neurons of the ViT and channels of the CNN's blocks, and of how many units of each photos are looked up.
MODELS = {"vitvis_vit": ("blocks.*.mlp", 64), "vitvis_resnet": ("*.block", 48)}
SHOWN, PHOTOS = 4, 20


def pictures(model: str, weights: dict[str, str], work: Path) -> list[list[tuple[Path, str]]]:
    """Fit units of every block with each file; return a row a block, before on the left and after on the right."""
    sides: list[list[dict[str, Any]]] = []
    for name, file in weights.items():
        out = work / f"{model}-{name}"
        records = fit.run(model=model, weights=file, units=f"{MODELS[model][0]}:~{SHOWN}", out=str(out))
        records = sorted(records, key=lambda record: (record["depth"], record["unit"]))
        sides.append([record | {"file": out / record["image"], "name": name} for record in records])
    blocks = [[list(found) for _, found in groupby(side, key=lambda record: record["site"])] for side in sides]
    return [
        [(record["file"], f"{record['depth']}:{record['unit']} {record['name']}") for side in block for record in side]
        for block in zip(*blocks, strict=True)
    ]


def selectivity(model: str, name: str, weights: str, photos: str, work: Path) -> Curve:
    """Return how often two of a unit's strongest photos are of one class, in %, by depth."""
    out = work / f"{model}-{name}-search"
    units = "{}:~{}".format(*MODELS[model])
    search.run(model=model, weights=weights, data=photos, units=units, k=PHOTOS, strips="none", out=str(out))
    run = read_search(out)
    labels = {index: image["label"] for index, image in run.images.items()}
    points = [
        mean([same_label([labels[index] for index in unit["strongest_index"]]) for unit in found]).scaled(100)
        for found in run.sites.values()
    ]
    depths = [place / (len(points) - 1) for place in range(len(points))]
    return Curve(name, depths, points)


def main() -> None:
    """Make them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, help="folder of the files that shipped before")
    parser.add_argument("--photos", required=True, help="photos with classes, such as parquet:FILE")
    parser.add_argument("--work", type=Path, default=ROOT / "out/card")
    parser.add_argument("--images", type=Path, default=ROOT / "docs/images")
    asked = parser.parse_args()
    source = open_source(asked.photos)
    chance = 100 * chance_of_same(list(Counter(source.labels[: source.length].tolist()).values()))
    panels = []
    for model in MODELS:
        weights = {"before": str(asked.before / f"{model}.safetensors"), "after": "hub"}
        sheet = asked.images / f"bundled-blocks-{model.removeprefix('vitvis_')}.jpg"
        write_picture(draw(pictures(model, weights, asked.work)), sheet)
        print(sheet)
        curves = [selectivity(model, name, file, asked.photos, asked.work) for name, file in weights.items()]
        title = f"{model}: pairs of strongest photos of one class (%)"
        panels.append(Panel(title, "depth (0: first block, 1: last); dotted: chance", curves, chance))
    chart = asked.images / "bundled-selectivity.png"
    chart.write_bytes(curve_chart(panels))
    print(chart)


if __name__ == "__main__":
    main()
