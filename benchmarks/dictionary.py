"""Do pictures of latents say more than those of neurons? Search, fit and judge units of one block, drawn by seed.

    python -m vitvis.dictionary data=imagefolder:TRAIN site=blocks.8.block repeats=3 out=out/sae
    python benchmarks/dictionary.py out/sae --data imagefolder:VAL [--block 8] [--count 96] [--sheet FILE.jpg]

Four kinds of units of a block: hidden neurons of its feed-forward layer, channels of its output, random directions of
its output, and latents of a dictionary of it that are on in at least 20 photos. Each kind's means in the judge's choice
test are printed with 95 % intervals, and so are differences to the neurons (bootstrap over units). Everything stays in
`--out`, where a second call goes on. `--sheet` shows eight of each kind, each with the class of its strongest photo.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

import vitvis.fit
import vitvis.judge
import vitvis.search
from vitvis.draw.sheet import Row, Tile, draw_sheets
from vitvis.runs import read_records
from vitvis.search import SearchRun

KINDS = ("neurons", "channels", "directions", "latents")
MEASURES = ("judge", "choice", "choice_easy", "choice_hard", "choice_photos", "choice_other", "choice_noise")
FIRING = 20  # photos on which a latent has to be on
SHOWN = 8
DRAWS = 10_000


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dictionary")
    parser.add_argument("--data", required=True, help="photos that are searched, KIND:PATH")
    parser.add_argument("--block", type=int, default=8)
    parser.add_argument("--count", type=int, default=96, help="units of each kind")
    parser.add_argument("--judge", default="vitvis_resnet")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="out/dictionary-choice")
    parser.add_argument("--sheet")
    asked = parser.parse_args(argv)
    out, site = Path(asked.out), f"blocks.{asked.block}.block"
    out.mkdir(parents=True, exist_ok=True)
    wholes = {"neurons": f"blocks.{asked.block}.mlp", "channels": site, "directions": f"{site}@{out}/random.npy",
              "latents": f"{site}@{asked.dictionary}"}  # fmt: skip
    draw = np.random.default_rng(asked.seed)
    width = vitvis.load_backbone("vitvis_vit").site(site).width
    directions = draw.standard_normal((asked.count, width)).astype(np.float32)
    np.save(out / "random.npy", directions / np.linalg.norm(directions, axis=1, keepdims=True))
    search = vitvis.search.run(
        data=asked.data, units=[f"{kind}:*" for kind in wholes.values()], thumbs="strongest", strips="none",
        out=str(out / "search"),
    )  # fmt: skip
    drawn = {kind: draw_units(search, whole, asked.count, draw) for kind, whole in wholes.items()}
    vitvis.fit.run(units=[address for own in drawn.values() for address in own], out=str(out / "fit"))
    (judged,) = vitvis.judge.run(
        run=[str(out / "fit")], judge=[asked.judge], search=[str(search.path)], data=asked.data, sturdiness=0
    )
    rows = {row["address"]: row for row in judged.rows}
    print(table({kind: [rows[address] for address in own] for kind, own in drawn.items()}, asked.seed))
    if asked.sheet:
        sheet(out / "fit", search, drawn).save(asked.sheet, quality=88)


def draw_units(search: SearchRun, whole: str, count: int, draw: np.random.Generator) -> list[str]:
    """Draw units of a kind; of latents those that are on in enough photos."""
    own = [row for rows in search.sites.values() for row in rows if row["address"].rpartition(":")[0] == whole]
    latents = own[0]["fire_share"] is not None
    usable = [row["address"] for row in own if not latents or row["positive_share"] * row["count"] >= FIRING]
    print(f"{whole}: {len(own)} units, of which {min(count, len(usable))} of {len(usable)} are drawn")
    return [usable[place] for place in sorted(draw.choice(len(usable), min(count, len(usable)), replace=False))]


def table(kinds: Mapping[str, Sequence[Mapping[str, float]]], seed: int) -> str:
    """Return means with intervals, and differences to the first kind, as Markdown."""
    draw = np.random.default_rng(seed)
    lines = ["", f"| measure | {' | '.join(kinds)} |", f"| --- |{' --- |' * len(kinds)}"]
    for measure in MEASURES:
        cells: list[str] = []
        for own in kinds.values():
            values = np.array([row[measure] for row in own if row.get(measure) is not None], float)
            mean, means = values.mean(), draw.choice(values, (DRAWS, len(values))).mean(1)
            if not cells:
                first, firsts = mean, means
                cells.append(f"{mean:.3f} {interval(means)}")
            else:
                cells.append(f"{mean:.3f} {interval(means)}; {mean - first:+.3f} {interval(means - firsts)}")
        lines.append(f"| {measure} | {' | '.join(cells)} |")
    return "\n".join(lines)


def interval(means: np.ndarray) -> str:
    low, high = np.quantile(means, (0.025, 0.975))
    return f"[{low:.3f}, {high:.3f}]"


def sheet(fit: Path, search: SearchRun, drawn: Mapping[str, Sequence[str]]) -> Image.Image:
    """Return a page: of each kind the first eight that were drawn, each with the class of its strongest photo."""
    records, rows = {record["address"]: record for record in read_records(fit)}, []
    for kind, own in drawn.items():
        row = Row(kind, note=own[0].rpartition(":")[0].partition("@")[0])
        for address in own[:SHOWN]:
            best = search.images.get(search.record(address)["strongest_index"][0]) or {}
            label = (best.get("label_name") or "").split(",")[0]
            row.tiles.append(Tile(fit / records[address]["image"], address.rpartition(":")[2], label))
        rows.append(row)
    return draw_sheets(rows, tile=128)[0]


if __name__ == "__main__":
    main()
