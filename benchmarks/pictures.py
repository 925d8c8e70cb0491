"""How good are the pictures of recipes? Old beside new, on units that no recipe was tuned on.

    python benchmarks/pictures.py vit --search out/SEARCH                 # bundled ViT by the bundled ResNet
    python benchmarks/pictures.py shallow --search out/SEARCH             # its blocks 0, 1 and 2
    python benchmarks/pictures.py resnet                                  # the reverse, classes alone
    python benchmarks/pictures.py mobilenet --weights A.safetensors --judge-weights B.safetensors
    python benchmarks/pictures.py hiera --weights A.safetensors --judge-weights B.safetensors --search out/SEARCH

Units are drawn by seed and dealt into two halves: recipes are tuned on half 0, reported on half 1. A recipe is the name
of a shipped one, or `NAME:SETTING,SETTING`, laid over the default. Runs stay in `--out` and go on there. Every figure
has its 95 % interval, a bootstrap over units; differences are paired with the first recipe.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import vitvis.fit
import vitvis.judge

Row = dict[str, Any]


@dataclass(frozen=True)
class Pair:
    """A model, its judge, and what units are drawn from.

    Attributes:
        model: of the pictures.
        judge: another model.
        classes: outputs of the head; 0: none.
        blocks: whose hidden units are drawn, in three thirds of depth.
        widths: units of each of these blocks.
        image_size: of the model, where it is not its own.
        seed: of the draw of classes.
    """

    model: str
    judge: str
    classes: int
    blocks: Sequence[int] = ()
    widths: Sequence[int] = ()
    image_size: int | None = None
    seed: int = 7


PAIRS = {
    "vit": Pair("vitvis_vit", "vitvis_resnet", 200, (1, 3, 5, 7, 9, 11), (768,) * 6),
    "shallow": Pair("vitvis_vit", "vitvis_resnet", 0, (0, 1, 2), (768,) * 3),
    "resnet": Pair("vitvis_resnet", "vitvis_vit", 200),
    "mobilenet": Pair("mobilenetv2_100", "tf_efficientnet_lite0", 1000, seed=11),
    "hiera": Pair(
        "sam2_hiera_tiny", "tf_efficientnet_lite0", 0, (0, 2, 4, 5, 7, 8, 9, 10, 11),
        (384, 768, 1536, 1536, 1536, 1536, 1536, 3072, 3072), 224,
    ),
}  # fmt: skip


def classes_of(pair: Pair, half: int, count: int) -> list[int]:
    """Return classes of one half, drawn by seed."""
    drawn = random.Random(pair.seed).sample(range(pair.classes), min(200, pair.classes))
    return sorted(drawn[half::2][:count])


def units_of(pair: Pair, half: int, classes: int, hidden: int) -> list[str]:
    """Return addresses of the units of one half: hidden ones of each block, and classes."""
    addresses = []
    for block, width in zip(pair.blocks, pair.widths, strict=True):
        own = sorted(random.Random(100 + block).sample(range(width), 64)[half::2][:hidden])
        if own:
            addresses.append(f"blocks.{block}.mlp:{','.join(map(str, own))}")
    if pair.classes and classes:
        addresses.append(f"head:{','.join(map(str, classes_of(pair, half, classes)))}")
    return addresses


def measures(values: Sequence[float], samples: int = 4000) -> str:
    """Return a mean with its 95 % interval."""
    x = np.asarray([value for value in values if value is not None], float)
    if not len(x):
        return "-"
    drawn = np.random.default_rng(0).choice(x, (samples, len(x))).mean(axis=1)
    low, high = np.percentile(drawn, (2.5, 97.5))
    return f"{x.mean():.3f} ({low:.3f} to {high:.3f})"


def thirds(rows: Sequence[Row]) -> list[list[Row]]:
    """Return hidden rows in three thirds by depth: shallow, middle, deep."""
    depths = sorted({row["depth"] for row in rows})
    size = len(depths) / 3
    return [[row for row in rows if int(depths.index(row["depth"]) / size) == third] for third in range(3)]


def table(found: dict[str, list[Row]]) -> str:
    """Return a Markdown table: a column a recipe, a row a measure; differences are paired with the first."""
    names = list(found)
    lines = ["| | " + " | ".join(names) + " |", "| --- |" + " --- |" * len(names)]

    def add(label: str, of: Callable[[str], str]) -> None:
        cells = [of(name) for name in names]
        if any(cell != "-" for cell in cells):
            lines.append(f"| {label} | " + " | ".join(cells) + " |")

    def column(name: str, key: str, kept: Callable[[Row], bool]) -> list[float]:
        return [float(row[key]) for row in found[name] if kept(row) and row.get(key) is not None]

    def is_class(row: Row) -> bool:
        return bool(row["kind"] == "head")

    def is_hidden(row: Row) -> bool:
        return not is_class(row)

    def difference(name: str, key: str, chosen: Callable[[list[Row]], list[Row]]) -> str:
        if name == names[0]:
            return "-"
        first = {row["address"]: row for row in found[names[0]]}
        pairs = [(row.get(key), first[row["address"]].get(key)) for row in chosen(found[name])]
        return measures([float(new) - float(old) for new, old in pairs if new is not None and old is not None])

    classes = "classes: "
    for key, label in (("top1", "top-1"), ("top5", "top-5"), ("class_probability", "probability"), ("hf_share", "hf"),
                       ("seam", "seam")):  # fmt: skip
        add(classes + label, lambda name, key=key: measures(column(name, key, is_class)))
    for key in ("top1", "class_probability"):
        add(f"{classes}{key}, paired difference", lambda name, key=key: difference(
            name, key, lambda rows: [row for row in rows if is_class(row)]))  # fmt: skip
    for key, label in (("choice", "choice"), ("choice_photos", "the units' own photos"), ("choice_noise", "noise"),
                       ("hf_share", "hf"), ("seam", "seam"), ("beats_photo", "beats the best photo")):  # fmt: skip
        add(f"hidden: {label}", lambda name, key=key: measures(column(name, key, is_hidden)))
    add("hidden: choice, paired difference", lambda name: difference(
        name, "choice", lambda rows: [row for row in rows if is_hidden(row)]))  # fmt: skip
    for third, label in enumerate(("shallow", "middle", "deep")):

        def part(rows: list[Row], third: int = third) -> list[Row]:
            return thirds([row for row in rows if is_hidden(row)])[third]

        for key in ("choice", "choice_photos"):
            add(f"hidden, {label} third: {key}", lambda name, part=part, key=key: measures(
                [row[key] for row in part(found[name]) if row.get(key) is not None]))  # fmt: skip
        add(f"hidden, {label} third: paired difference", lambda name, part=part: difference(name, "choice", part))
    for depth in sorted({row["depth"] for rows in found.values() for row in rows if is_hidden(row)}):
        add(f"seam, block {depth}", lambda name, depth=depth: measures(
            [row["seam"] for row in found[name] if is_hidden(row) and row["depth"] == depth]))  # fmt: skip
    add("activation kept", lambda name: measures(column(name, "kept", lambda row: True)))
    add("judge, all units", lambda name: measures(column(name, "judge", lambda row: True)))
    add("asleep", lambda name: f"{sum(row['status'] == 'dead' for row in found[name])} of {len(found[name])}")
    return "\n".join(lines)


def make(recipe: str, pair: Pair, units: list[str], asked: argparse.Namespace) -> list[Row]:
    """Make and judge the pictures of a recipe; return a row a unit, of records and verdict together."""
    name, _, words = recipe.partition(":")
    settings = [word for word in words.split(",") if word] or [f"recipe={name}"]
    if name == "matched":
        settings.append(f"match.search={asked.search}")
    folder = Path(asked.out) / asked.pair / f"{asked.half}-{name}"
    records = vitvis.fit.run([
        f"model={pair.model}", f"units=[{','.join(units)}]", f"weights={asked.weights}", f"out={folder}",
        *([f"image_size={pair.image_size}"] if pair.image_size else []), f"seeds=[{asked.seed}]",
        f"trainer.precision={asked.precision}", "trainer.devices=1", "trainer.progress=none", "logger.kind=none",
        *settings,
    ])  # fmt: skip
    done = vitvis.judge.run(
        run=[str(folder)], judge=[pair.judge], weights=[asked.judge_weights], sturdiness=asked.sturdiness,
        search=[asked.search] if asked.search else [], trainer={"progress": "none", "devices": 1},
    )  # fmt: skip
    by_image = {record["image"]: record for record in records}
    return [by_image[row["image"]] | row for row in done[0].rows]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pair", choices=PAIRS)
    parser.add_argument("recipes", nargs="*", default=["activation", "default"])
    parser.add_argument("--half", type=int, default=1)
    parser.add_argument("--classes", type=int, default=40)
    parser.add_argument("--hidden", type=int, default=4, help="units a block")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--search", default=None)
    parser.add_argument("--weights", default="hub")
    parser.add_argument("--judge-weights", default="hub")
    parser.add_argument("--precision", default="bf16-mixed")
    parser.add_argument("--sturdiness", type=int, default=0)
    parser.add_argument("--out", default="out/pictures")
    asked = parser.parse_args(argv)
    pair = PAIRS[asked.pair]
    units = units_of(pair, asked.half, asked.classes, asked.hidden)
    found = {recipe.partition(":")[0]: make(recipe, pair, units, asked) for recipe in asked.recipes}
    text = table(found)
    print(text)
    path = Path(asked.out) / asked.pair / f"{asked.half}-table.md"
    path.write_text(text + "\n", encoding="utf-8")
    path.with_suffix(".json").write_text(json.dumps(found, default=str), encoding="utf-8")


if __name__ == "__main__":
    main()
