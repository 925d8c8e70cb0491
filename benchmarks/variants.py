"""How much do variants of a unit differ, beside pictures of as many seeds, and what do they cost in activation?

    python benchmarks/variants.py vit --search out/SEARCH
    python benchmarks/variants.py vit --search out/SEARCH --half 0 --settings diversity.weight=0.5 diversity.weight=2

Units are those of `benchmarks/pictures.py`. The distance of two pictures is one minus the cosine of the judge's
features as the choice test sees them (from the photos' mean, in their deviations, four depths); a unit's is the mean
over its pairs. Activation is that of the clean pictures; *kept* is a unit's mean (and its weakest) over the mean of its
plain pictures of as many seeds. Intervals are 95 %, a bootstrap over units.
"""

from __future__ import annotations

import argparse
import json
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pictures import PAIRS, measures, units_of
from PIL import Image

import vitvis.fit
import vitvis.judge
from vitvis.backbones.eye import Eye, load_eye
from vitvis.backbones.space import Space, make_space
from vitvis.judge.album import open_album
from vitvis.search.reading import read_search

Row = dict[str, Any]


def space_of(search: str, eye: Eye, folder: Path) -> Space:
    """Return the judge's features as the choice test measures them, from the photos of a search."""
    album = open_album(read_search(search), None, split=None, photos="auto", folder=folder)
    assert album is not None
    known = album.read(album.cache_path(eye.name, eye.identity))
    chance = [known[index] for index in album.by_chance(512, 0) if index in known]
    return make_space(np.stack(chance), eye.widths)


def distances(rows: list[Row], folder: Path, eye: Eye, space: Space) -> float:
    """Return the mean distance between the pictures of one unit."""
    arrays = [np.array(Image.open(folder / row["image"]).convert("RGB")) for row in rows]
    images = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).float() / 255
    placed = space.place(eye.look(images).features.numpy())
    return float(np.mean([1 - placed[a] @ placed[b] for a, b in combinations(range(len(placed)), 2)]))


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pair", choices=PAIRS)
    parser.add_argument("--half", type=int, default=1)
    parser.add_argument("--classes", type=int, default=8)
    parser.add_argument("--hidden", type=int, default=2, help="units a block")
    parser.add_argument("--count", type=int, default=4)
    parser.add_argument("--settings", nargs="*", default=[""], help="of runs with variants; words joined by commas")
    parser.add_argument("--search", required=True)
    parser.add_argument("--weights", default="hub")
    parser.add_argument("--judge-weights", default="hub")
    parser.add_argument("--out", default="out/variants")
    asked = parser.parse_args(argv)
    pair, base = PAIRS[asked.pair], Path(asked.out) / asked.pair
    units = units_of(pair, asked.half, asked.classes, asked.hidden)
    runs = {"seeds": [f"seeds=[{','.join(map(str, range(asked.count)))}]"]}
    for words in asked.settings:
        own = [
            f"variants={asked.count}",
            f"diversity.search={asked.search}",
            *(word for word in words.split(",") if word),
        ]
        runs[words or "variants"] = own
    eye = load_eye(pair.judge, asked.judge_weights)
    space, plain, found = None, {}, {}
    for name, settings in runs.items():
        folder = base / f"{asked.half}-{name.replace('/', '_')}"
        records = vitvis.fit.run([
            f"model={pair.model}", f"units=[{','.join(units)}]", f"weights={asked.weights}", f"out={folder}",
            *([f"image_size={pair.image_size}"] if pair.image_size else []), "trainer.precision=bf16-mixed",
            "trainer.devices=1", "trainer.progress=none", "logger.kind=none", *settings,
        ])  # fmt: skip
        (judged,) = vitvis.judge.run(
            run=[str(folder)], judge=[pair.judge], weights=[asked.judge_weights], sturdiness=0, search=[asked.search],
            trainer={"progress": "none", "devices": 1},
        )  # fmt: skip
        verdicts = {row["image"]: row for row in judged.rows}
        space = space or space_of(asked.search, eye, folder)
        by_unit: dict[str, list[Row]] = {}
        for record in records:
            by_unit.setdefault(record["address"], []).append(record | verdicts[record["image"]])
        plain = plain or {unit: float(np.mean([row["activation"] for row in rows])) for unit, rows in by_unit.items()}
        for kind in ("hidden", "classes"):
            chosen = {
                unit: rows for unit, rows in by_unit.items() if (rows[0]["kind"] == "head") == (kind == "classes")
            }
            key = "class_probability" if kind == "classes" else "choice"
            found[f"{name}, {kind}"] = {
                "units": len(chosen),
                "distance": measures([distances(rows, folder, eye, space) for rows in chosen.values()]),
                "kept": measures([np.mean([r["activation"] for r in rows]) / plain[u] for u, rows in chosen.items()]),
                "weakest kept": measures([min(r["activation"] for r in rows) / plain[u] for u, rows in chosen.items()]),
                "weakest beats the best photo": measures(
                    [float(all(r["beats_photo"] for r in rows)) for rows in chosen.values()]),
                key: measures([float(np.mean([r[key] for r in rows])) for rows in chosen.values()]),
                "top-1": measures([float(np.mean([r["top1"] for r in rows])) for rows in chosen.values()
                                   if rows[0]["top1"] is not None]),
                "gate passed": measures([float(rows[0]["gate"]) for rows in chosen.values() if "gate" in rows[0]]),
                "weight left": measures([rows[0]["diversity"] for rows in chosen.values() if "gate" in rows[0]]),
            }  # fmt: skip
            print(f"{name}, {kind}", json.dumps(found[f"{name}, {kind}"]), flush=True)
    (base / f"{asked.half}-table.json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
